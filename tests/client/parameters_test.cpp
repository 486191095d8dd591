// The tables of spec/confd_client.md §2 and the corpus of §6.
#include "daemon/client/parameters.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "base/json.h"
#include "base/text.h"
#include "daemon/client/file_substitution.h"

using namespace confd::client;
using confd::base::Array;
using confd::base::Struct;
using confd::base::Value;

namespace {

using Words = std::vector<std::string>;

std::string joined(const Words& words) {
  try {
    return confd::base::render_json(join_words(words));
  } catch (const UsageError& error) {
    return "error: " + error.text;
  }
}

struct Call {
  Words words;
  std::string json;
};

}  // namespace

TEST_CASE("positional words become parameters, as in the table of the specification") {
  const Call calls[] = {
      {{"db_name:", "Exasol"}, R"({"db_name":"Exasol"})"},
      {{"db_name:", "\"Exasol\""}, R"({"db_name":"Exasol"})"},
      {{"nodes:", "[11,12]", "size:", "100 GiB", "shared:", "false", "level:", "0"},
       R"({"nodes":[11,12],"size":"100 GiB","shared":false,"level":0})"},
      {{"owner:", "[500,500]"}, R"({"owner":[500,500]})"},
      {{"owner:", "[500,", "500]"}, R"({"owner":[500,500]})"},
      {{"params_add:", "['-writeTouchInit=1','-cacheMonitorLimit=0']"},
       R"({"params_add":["-writeTouchInit=1","-cacheMonitorLimit=0"]})"},
      {{"params_add:", "[-oidcProviderClientSecret=abcd]"},
       R"({"params_add":["-oidcProviderClientSecret=abcd"]})"},
      {{"jdbc_urls:", "[bucketfs://x/y/jdbc]"}, R"({"jdbc_urls":["bucketfs://x/y/jdbc"]})"},
      {{"url:", "https://b.s3.eu-central-1.amazonaws.com/", "vol_type:", "s3"},
       R"({"url":"https://b.s3.eu-central-1.amazonaws.com/","vol_type":"s3"})"},
      {{"changes:", "{Global: {SearchDomains: power.inet}}"},
       R"({"changes":{"Global":{"SearchDomains":"power.inet"}}})"},
      {{"changes:", R"({"Global":{"Hugepages":"auto"}})"}, R"({"changes":{"Global":{"Hugepages":"auto"}}})"},
      {{"changes:", "{Global:", "{Hugepages:", "auto}}", "x:", "1"},
       R"({"changes":{"Global":{"Hugepages":"auto"}},"x":1})"},
      {{"expire:", "1w 3d", "backup_name:", "Backup PROD_DR Level 0"},
       R"({"expire":"1w 3d","backup_name":"Backup PROD_DR Level 0"})"},
      {{"backup_id:", "10003 db/id_490/level_1/node_0/backup_202504162230 db",
        "restore_type:", "virtual access"},
       R"({"backup_id":"10003 db/id_490/level_1/node_0/backup_202504162230 db","restore_type":"virtual access"})"},
      {{"restore_type:", "virtual", "access", "x:", "y"}, R"({"restore_type":"virtual access","x":"y"})"},
      {{"public:", "False", "enabled:", "True", "auto_start:", "no", "x:", "on"},
       R"({"public":false,"enabled":true,"auto_start":false,"x":true})"},
      {{"day:", "'*'", "weekday:", "'1,2,3'"}, R"({"day":"*","weekday":"1,2,3"})"},
      {{"day:", "*", "month:", "*"}, R"({"day":"*","month":"*"})"},
      {{"day: *"}, R"({"day":"*"})"},
      {{"version:", "8.29.12", "userid:", "1001", "port:", "8563"},
       R"({"version":"8.29.12","userid":1001,"port":8563})"},
      {{"db_name: DB1"}, R"({"db_name":"DB1"})"},
      {{"db_name: DB1", "timeout: 30"}, R"({"db_name":"DB1","timeout":30})"},
      {{"db_name: DB1, timeout: 30"}, R"({"db_name":"DB1","timeout":30})"},
      {{"db_name:", "DB1,", "timeout:", "30"}, R"({"db_name":"DB1","timeout":30})"},
      {{"{db_name:", "DB1,", "timeout:", "30}"}, R"({"db_name":"DB1","timeout":30})"},
      {{"{db_name: DB1, timeout: 30}"}, R"({"db_name":"DB1","timeout":30})"},
      {{"comment:", "note: see ticket #5, please"}, R"({"comment":"note: see ticket #5, please"})"},
      {{"password:", "&a*!%@`|>"}, R"({"password":"&a*!%@`|>"})"},
      {{"password:", "!secret"}, R"({"password":"!secret"})"},
      {{"comment:", ""}, R"({"comment":null})"},
      {{"comment:", "''"}, R"({"comment":""})"},
      {{"keytab:", "{<filename}"}, R"({"keytab":"{<filename}"})"},
      {{"license:", "\"{< -}\""}, R"({"license":"{< -}"})"},
      {{"license:", "{<", "-}"}, R"({"license":"{< -}"})"},
      {{"nid:", "[11, 12, 13]"}, R"({"nid":[11,12,13]})"},
      {{"nid:", "[11]", "enable:", "true"}, R"({"nid":[11],"enable":true})"},
      {{"username:", "NEW", "userid:", "1001", "password:", "P", "group:", "exausers",
        "login_enabled:", "true"},
       R"({"username":"NEW","userid":1001,"password":"P","group":"exausers","login_enabled":true})"},
      {{"db_name:", "DB1", "mem_size:", "256 GiB"}, R"({"db_name":"DB1","mem_size":"256 GiB"})"},
      {{}, "{}"},
  };
  for (const Call& call : calls) {
    INFO(confd::base::join(call.words, " | "));
    CHECK(joined(call.words) == call.json);
  }
}

TEST_CASE("words that are no parameters are refused with what is wrong") {
  CHECK(joined({"MYDB"}) == "error: 'MYDB' has no name before it; parameters are pairs 'name: value'");
  CHECK(joined({"db_name:MYDB"}) ==
        "error: 'db_name:MYDB' has no blank behind the colon; parameters are pairs 'name: value'");
  CHECK(joined({"nodes:", "[11,12"}).starts_with("error: parameter nodes: not valid YAML"));
  CHECK(joined({"{a: 1"}).starts_with("error: parameters: not valid YAML"));
  CHECK(joined({"nodes:", "[11],[12]"}).starts_with("error: parameter nodes: "));
}

TEST_CASE("-a takes YAML with and without braces") {
  const std::pair<std::string, std::string> texts[] = {
      {"db_name: exasol", R"({"db_name":"exasol"})"},
      {"{db_name: Exasol}", R"({"db_name":"Exasol"})"},
      {"db_name: Exasol, timeout: 30", R"({"db_name":"Exasol","timeout":30})"},
      {"db_name: Exasol\ntimeout: 30\n", R"({"db_name":"Exasol","timeout":30})"},
      {"changes:\n  Global:\n    Hugepages: auto\n", R"({"changes":{"Global":{"Hugepages":"auto"}}})"},
      {"", "{}"},
      {R"({db_name: exasol, params:"-forceProtocolEncryption=1"})",
       R"({"db_name":"exasol","params":"-forceProtocolEncryption=1"})"},
      {R"({db_name: Exasol, ldap_server: "ldap://192.168.16.10:389, ldap://192.168.16.11:389"})",
       R"({"db_name":"Exasol","ldap_server":"ldap://192.168.16.10:389, ldap://192.168.16.11:389"})"},
      {R"({db_name: exasol, backup_name: full backup, backup_volume_name: r0001, enabled: True, level: 0, expire: "1w 3d", minute: 0, hour: 1, day: "*", month: "*", weekday: 6})",
       R"({"db_name":"exasol","backup_name":"full backup","backup_volume_name":"r0001","enabled":true,"level":0,"expire":"1w 3d","minute":0,"hour":1,"day":"*","month":"*","weekday":6})"},
      {"{minute: 0, day: *, month: * }", R"({"minute":0,"day":"*","month":"*"})"},
      {"{backup_id: 1 exa_db/id_1/level_0/node_0/backup_201811131114 exa_db, db_name: exasol, restore_type: "
       "blocking}",
       R"({"backup_id":"1 exa_db/id_1/level_0/node_0/backup_201811131114 exa_db","db_name":"exasol","restore_type":"blocking"})"},
      {R"({"bucketfs_name": "bfsdefault", "https_port": 2581})",
       R"({"bucketfs_name":"bfsdefault","https_port":2581})"},
      {"{ bucket_name: default, bucketfs_name: bfsdefault, public: True, read_password: abcd1234, "
       "write_password: abcd1234 }",
       R"({"bucket_name":"default","bucketfs_name":"bfsdefault","public":true,"read_password":"abcd1234","write_password":"abcd1234"})"},
      {"{url: https://B.s3.us-east-1.amazonaws.com, vol_type: s3, username: AK, password: +Cr/x, owner: "
       "[500,500]}",
       R"({"url":"https://B.s3.us-east-1.amazonaws.com","vol_type":"s3","username":"AK","password":"+Cr/x","owner":[500,500]})"},
      {R"({"vol_type":"smb","url":"smb:////10.0.0.1/share","username":"DOM\\USER","password":"b64","owner":[500,500],"options":["timeout=6000,cleanvolume"]})",
       R"({"vol_type":"smb","url":"smb:////10.0.0.1/share","username":"DOM\\USER","password":"b64","owner":[500,500],"options":["timeout=6000,cleanvolume"]})"},
      {"{vid: 0}", R"({"vid":0})"},
      {R"({cert: "{< /p/fullchain.pem}", key: "{< /p/privkey.pem}"})",
       R"({"cert":"{< /p/fullchain.pem}","key":"{< /p/privkey.pem}"})"},
  };
  for (const auto& [text, json] : texts) {
    INFO(text);
    try {
      CHECK(confd::base::render_json(parse_yaml_parameters(text)) == json);
    } catch (const UsageError& error) {
      FAIL_CHECK(error.text);
    }
  }
  CHECK_THROWS_AS(parse_yaml_parameters("Exasol"), UsageError);
  CHECK_THROWS_AS(parse_yaml_parameters("[1, 2]"), UsageError);
  CHECK_THROWS_AS(parse_yaml_parameters("{a: [}"), UsageError);
}

TEST_CASE("option -A takes a JSON object") {
  CHECK(parse_json_parameters(R"({ "db_name": "DB1" })") == Struct{{"db_name", "DB1"}});
  CHECK(parse_json_parameters(
            R"({"username":"itde_confd","userid":20001,"login_enabled":true,"encode_passwd":true})")
            .size() == 4);
  CHECK_THROWS_AS(parse_json_parameters("[1]"), UsageError);
  CHECK_THROWS_AS(parse_json_parameters("{a: 1}"), UsageError);
}

TEST_CASE("params of -a and -A and words are put together, the later one wins") {
  Options options;
  options.params = "{a: 1, b: 1, c: 1}";
  options.params_json = R"({"b": 2, "c": 2})";
  options.words = {"c:", "3"};
  CHECK(job_parameters(options) == Struct{{"a", 1}, {"b", 2}, {"c", 3}});
}

TEST_CASE("built-in commands take a bare name in every form") {
  const auto bare = [](const Words& words) {
    Options options;
    options.words = words;
    return bare_argument(options);
  };
  CHECK(bare({"11.10"}) == "11.10");
  CHECK(bare({"job_id:", "11.10"}) == "11.10");
  CHECK(bare({"{job_id: '11.10'}"}) == "11.10");
  CHECK(bare({}).empty());
  Options options;
  options.params = "db_start";
  CHECK(bare_argument(options) == "db_start");
}

TEST_CASE("{< PATH} is replaced by the content, wherever a value may be") {
  std::vector<std::string> asked;
  const FileReader reader = [&](const std::string& path) {
    asked.push_back(path);
    return "<" + path + ">\n";
  };
  Struct parameters{{"cert", "{< /root/tls_cert}"},
                    {"key", "{</root/my key}"},
                    {"license", Struct{{"< -", nullptr}}},
                    {"keytab", Struct{{"<filename", nullptr}}},
                    {"list", Array{"{< -}", "plain"}},
                    {"deep", Struct{{"x", "{< /root/tls_cert}"}}},
                    {"not", "see {< a} there"},
                    {"empty", "{<}"},
                    {"html", Struct{{"<b", 1}}}};
  substitute_files(parameters, reader);
  CHECK(parameters == Struct{{"cert", "</root/tls_cert>\n"},
                             {"key", "</root/my key>\n"},
                             {"license", "<->\n"},
                             {"keytab", "<filename>\n"},
                             {"list", Array{"<->\n", "plain"}},
                             {"deep", Struct{{"x", "</root/tls_cert>\n"}}},
                             {"not", "see {< a} there"},
                             {"empty", "{<}"},
                             {"html", Struct{{"<b", 1}}}});
  CHECK(asked == std::vector<std::string>{"/root/tls_cert", "/root/my key", "-", "filename"});
}

TEST_CASE("a parameter file must be there and be text") {
  CHECK_THROWS_AS(read_parameter_file("/nonexistent/tls.crt"), UsageError);
  CHECK_THROWS_AS(read_parameter_file("/"), UsageError);
  const std::string path = std::string(CONFD_BINARY_DIR) + "/client_parameter_file";
  std::ofstream(path) << "PEM\n";
  CHECK(read_parameter_file(path) == "PEM\n");
  std::ofstream(path) << "\xff\xfe";
  try {
    read_parameter_file(path);
    FAIL_CHECK("taken");
  } catch (const UsageError& error) {
    CHECK(error.text.find("not UTF-8") != std::string::npos);
    CHECK(error.text.find(path) != std::string::npos);
  }
}
