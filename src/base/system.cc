#include "base/system.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

#include "base/memory_budget.h"

namespace kakeya {
namespace {

// The number in the first line of a file; `fallback` when there is none ("max").
size_t NumberIn(const std::string& path, size_t fallback) {
  std::ifstream file(path);
  size_t number = 0;
  return file >> number ? number : fallback;
}

// MemAvailable of /proc/meminfo.
size_t SystemMemory() {
  std::ifstream file("/proc/meminfo");
  for (std::string key; file >> key;) {
    size_t kilobytes = 0;
    if (key == "MemAvailable:" && file >> kilobytes) return kilobytes * 1024;
  }
  return MemoryBudget::kUnlimited;
}

// What the cgroup's limit leaves. Inside a container its own group is the root of this tree.
size_t CgroupMemory() {
  const size_t limit = NumberIn("/sys/fs/cgroup/memory.max", MemoryBudget::kUnlimited);
  if (limit == MemoryBudget::kUnlimited) return limit;
  return limit - std::min(limit, NumberIn("/sys/fs/cgroup/memory.current", 0));
}

}  // namespace

int AvailableCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

size_t AvailableMemory() { return std::min(SystemMemory(), CgroupMemory()); }

}  // namespace kakeya
