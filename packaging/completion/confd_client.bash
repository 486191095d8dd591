# Completion of confd_client for bash: source this file, or eval "$(confd_client --completion bash)".
# confd_client itself offers the words. They are taken from the line, because bash would split them at ':'.
_confd_client() {
  local line=${COMP_LINE:0:COMP_POINT} words current
  read -ra words <<< "$line"
  current=${words[-1]}
  if [[ $line == *[[:blank:]] ]]; then
    words+=("")
    current=
  fi
  COMPREPLY=()
  local word
  while IFS= read -r word; do
    [[ -n $word && $word == "$current"* ]] && COMPREPLY+=("$word")
  done < <("${words[0]}" --complete "${words[@]:1}" 2> /dev/null)
}
complete -F _confd_client confd_client
