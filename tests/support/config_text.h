// A small valid EXAConf for unit tests, and a Config made from it. Passwords: alice has "wonderland" ($5$,
// few rounds, so that tests are quick), bob is disabled, carol has none, dave's is "*".
#pragma once

#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "exaconf/config.h"

namespace confd::test {

// crypt("wonderland", "$5$rounds=1000$testsalt"), made by Python's crypt.
inline const std::string kWonderland = "$5$rounds=1000$testsalt$SLrTQXhflNCdG213ct/pTEtv5pr3Pncivw15RQjlNU4";

inline std::string small_config_text(std::string_view users = {}) {
  return "[Global]\n"
         "    Revision = 3\n"
         "    Checksum = NONE\n"
         "    Platform = Vm\n"
         "    Networks = private\n"
         "    XMLRPCPort = 20003\n"
         "    NameServers = \n"
         "    Hugepages = 0\n"
         "    AuthenticationToken = dG9rZW50b2tlbnRva2VuOnRva2VudG9rZW50b2tlbg==\n"
         "\n"
         "[Logging]\n"
         "    LogRotationTypes = local,\n"
         "    RemoteLogRotationVolume = None\n"
         "    RemoteLogRotationPrefix = None\n"
         "\n"
         "[Groups]\n"
         "    [[root]]\n        ID = 0\n"
         "    [[exausers]]\n        ID = 500\n"
         "    [[exaadm]]\n        ID = 499\n"
         "    [[exadbadm]]\n        ID = 498\n"
         "    [[exastoradm]]\n        ID = 497\n"
         "    [[exabfsadm]]\n        ID = 496\n"
         "    [[exasaasadm]]\n        ID = 495\n"
         "    [[reporting]]\n        ID = 2000\n"
         "    [[empty]]\n        ID = 2001\n"
         "\n"
         "[Users]\n"
         "    [[root]]\n        ID = 0\n        Group = root\n        LoginEnabled = True\n"
         "        AdditionalGroups = exausers, exaadm\n"
         "    [[exadefusr]]\n        ID = 500\n        Group = exausers\n        LoginEnabled = False\n"
         "        AdditionalGroups = exaadm, exadbadm\n"
         "    [[alice]]\n        ID = 1001\n        Group = exausers\n        LoginEnabled = True\n"
         "        Passwd = " +
         kWonderland +
         "\n        AdditionalGroups = exaadm, reporting\n"
         "        AuthorizedKeys = ssh-ed25519 AAAAC3Nza alice@desk\n"
         "    [[bob]]\n        ID = 1002\n        Group = exausers\n        LoginEnabled = False\n"
         "        Passwd = " +
         kWonderland +
         "\n"
         "    [[carol]]\n        ID = 1003\n        Group = exausers\n        LoginEnabled = True\n"
         "        Passwd = \n"
         "    [[dave]]\n        ID = 1004\n        Group = exadbadm\n        LoginEnabled = True\n"
         "        Passwd = *\n" +
         std::string(users) +
         "\n"
         "[Node : 11]\n"
         "    PrivateNet = 127.0.0.11/8\n"
         "    PublicNet = \n"
         "    Name = n11\n"
         "    Affinity = 11\n"
         "    UUID = 644BACF4A4E14D008AC08F522FFE90E59C879D59\n"
         "    [[Disk : disk1]]\n"
         "        Component = exastorage\n"
         "        Devices = dev.1,\n"
         "\n"
         "[EXAVolume : data1]\n"
         "    Type = data\n"
         "    Size = 1 GiB\n"
         "    Disk = disk1\n"
         "    Redundancy = 1\n"
         "    Owner = 500 : 500\n"
         "    Nodes = 11,\n"
         "\n"
         "[RemoteVolume : backups]\n"
         "    Type = file\n"
         "    ID = 10001\n"
         "    URL = file:///backups\n"
         "    Owner = 1004 : 2001\n"
         "\n"
         "[DB : exa]\n"
         "    ID = GWqmK_AcTAqj4QChEcddCQ\n"
         "    Version = 8.20.0\n"
         "    MemSize = 2 GiB\n"
         "    Port = 8563\n"
         "    Owner = 500 : 500\n"
         "    Nodes = 11\n"
         "    NumActiveNodes = 1\n"
         "    DataVolume = data1\n"
         "\n"
         "[BucketFS : bfsdefault]\n"
         "    Owner = 500 : 500\n"
         "    HttpPort = 2580\n"
         "    HttpsPort = 0\n"
         "    SyncKey = c3luY2tleQ==\n"
         "    SyncPeriod = 30000\n"
         "    mode = rsync\n"
         "    bucketvolume = None\n"
         "    [[Bucket : default]]\n"
         "        ReadPasswd = cmVhZHJlYWQ=\n"
         "        WritePasswd = d3JpdGV3cml0ZQ==\n"
         "        Public = True\n";
}

inline exaconf::ConfigPtr load_config(const std::string& text) {
  auto config = exaconf::Config::load(text);
  if (!config) FAIL("the test's EXAConf is not valid: " << config.error().text);
  return *config;
}

inline exaconf::ConfigPtr small_config(std::string_view users = {}) {
  return load_config(small_config_text(users));
}

}  // namespace confd::test
