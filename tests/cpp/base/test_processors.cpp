#include "base/processors.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

using namespace sdx;
namespace fs = std::filesystem;

namespace {

// A directory like /sys/fs/cgroup that a test fills.
struct Groups {
  fs::path root = fs::temp_directory_path() / ("sdx-cgroup-" + std::to_string(std::rand()));

  ~Groups() { fs::remove_all(root); }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root / path).parent_path());
    std::ofstream(root / path) << text;
  }
  int quota(const std::string& membership) const {
    write("membership", membership);
    return cgroup_quota((root / "membership").string(), root.string());
  }
};

}  // namespace

TEST_CASE("quotas of cgroups, version 2") {
  const Groups groups;
  CHECK(groups.quota("0::/\n") == 0);
  groups.write("cpu.max", "max 100000\n");
  CHECK(groups.quota("0::/\n") == 0);
  groups.write("cpu.max", "150000 100000\n");
  CHECK(groups.quota("0::/\n") == 2);
  groups.write("cpu.max", "10000 100000\n");
  CHECK(groups.quota("0::/\n") == 1);
  groups.write("cpu.max", "max 100000\n");
  groups.write("jobs/cpu.max", "400000 100000\n");
  groups.write("jobs/one/cpu.max", "max 100000\n");
  CHECK(groups.quota("0::/jobs/one\n") == 4);
  groups.write("jobs/one/cpu.max", "300000 100000\n");
  CHECK(groups.quota("0::/jobs/one\n") == 3);
  CHECK(groups.quota("0::/not/seen/from/here\n") == 0);
  for (const char* broken : {"", "x", "0 0", "-1 100000", "5"}) {
    groups.write("cpu.max", broken);
    CHECK(groups.quota("0::/\n") == 0);
  }
}

TEST_CASE("quotas of cgroups, version 1") {
  const Groups groups;
  groups.write("cpu/cpu.cfs_quota_us", "-1\n");
  groups.write("cpu/cpu.cfs_period_us", "100000\n");
  CHECK(groups.quota("4:cpu,cpuacct:/\n") == 0);
  groups.write("cpu/cpu.cfs_quota_us", "250000\n");
  CHECK(groups.quota("4:cpu,cpuacct:/\n") == 3);
  groups.write("cpu/docker/12ab/cpu.cfs_quota_us", "100000\n");
  groups.write("cpu/docker/12ab/cpu.cfs_period_us", "100000\n");
  CHECK(groups.quota("7:memory:/elsewhere\n4:cpu,cpuacct:/docker/12ab\n") == 1);
  CHECK(groups.quota("") == 3);
}
