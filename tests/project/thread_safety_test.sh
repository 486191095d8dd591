#!/usr/bin/env bash
# clang's thread-safety analysis over all our sources, warnings are errors: a member is touched only under the lock that guards it.
set -euo pipefail

cd "$(dirname "$0")/../.."
flags=(-std=c++20 -I. -fsyntax-only -Wthread-safety -Werror=thread-safety '-DCONFD_VERSION="check"'
       -DBOOST_ASIO_SEPARATE_COMPILATION -DBOOST_BEAST_SEPARATE_COMPILATION -DBOOST_ASIO_NO_DEPRECATED -DSPDLOG_FMT_EXTERNAL -DSPDLOG_COMPILED_LIB)
# Only sources that lock, or see a header that does.
git ls-files '*.cpp' | grep -v '^tests/' | grep -v boost_ | xargs grep -lE 'Mutex|mutex|GUARDED_BY|scheduler/|publisher|store\.h|tls_context|events\.h|login' |
  xargs -P 2 -I{} clang++ "${flags[@]}" {}
