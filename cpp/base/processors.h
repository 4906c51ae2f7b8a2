// How many processors the host lets this process have; see available_processors.
#pragma once

#include <string>

namespace sdx {

// Processors that the CPU quotas on the way down to a process's cgroup amount to, rounded up; 0
// without a quota. `membership` is a file like /proc/self/cgroup, `mount` where cgroups lie.
int cgroup_quota(const std::string& membership, const std::string& mount);

}  // namespace sdx
