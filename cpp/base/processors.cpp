#include "base/processors.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "base/thread_pool.h"

namespace sdx {
namespace {

// Version 2: "max 100000" or "150000 100000".
double quota_of_v2(const std::string& directory) {
  std::ifstream file(directory + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::strtod(quota.c_str(), nullptr) / period;
}

double quota_of_v1(const std::string& directory) {
  std::ifstream quota_file(directory + "/cpu.cfs_quota_us");
  std::ifstream period_file(directory + "/cpu.cfs_period_us");
  double quota = 0, period = 0;
  if (!(quota_file >> quota) || !(period_file >> period) || quota <= 0 || period <= 0) return 0;
  return quota / period;
}

// The smallest quota from the mount down to `path`. Inside a container the path may be one that
// only its host can see: what cannot be read has no quota.
template <class QuotaOf>
double smallest(const std::string& mount, const std::string& path, QuotaOf&& quota_of) {
  double least = quota_of(mount);
  for (std::size_t end = path.find('/', 1); path.size() > 1; end = path.find('/', end + 1)) {
    const double quota = quota_of(mount + path.substr(0, end));
    if (quota > 0 && (least <= 0 || quota < least)) least = quota;
    if (end == std::string::npos) break;
  }
  return least;
}

}  // namespace

int cgroup_quota(const std::string& membership, const std::string& mount) {
  std::string path_v1 = "/", path_v2 = "/";
  std::ifstream file(membership);
  for (std::string line; std::getline(file, line);) {  // "4:cpu,cpuacct:/docker/12ab", "0::/user"
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::istringstream names(line.substr(first + 1, second - first - 1));
    if (second == first + 1) path_v2 = line.substr(second + 1);
    for (std::string name; std::getline(names, name, ',');)
      if (name == "cpu") path_v1 = line.substr(second + 1);
  }
  double quota = smallest(mount, path_v2, quota_of_v2);
  if (quota <= 0) quota = smallest(mount + "/cpu", path_v1, quota_of_v1);
  constexpr double kMany = 1e6;
  return quota > 0 ? std::max(1, static_cast<int>(std::min(quota, kMany) + 0.999)) : 0;
}

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 0;
  if (count <= 0) count = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  if (const int quota = cgroup_quota("/proc/self/cgroup", "/sys/fs/cgroup"); quota > 0)
    count = std::min(count, quota);
  return std::max(1, count);
}

}  // namespace sdx
