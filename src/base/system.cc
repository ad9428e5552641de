#include "base/system.h"

#include <fmt/core.h>
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

// Bytes of a line "key  1234 kB" of a file in /proc; `fallback` when there is none.
size_t BytesOf(const std::string& wanted, const std::string& path, size_t fallback) {
  std::ifstream file(path);
  for (std::string key; file >> key;) {
    size_t kilobytes = 0;
    if (key == wanted && file >> kilobytes) return kilobytes * 1024;
  }
  return fallback;
}

size_t SystemMemory() {
  return BytesOf("MemAvailable:", "/proc/meminfo", MemoryBudget::kUnlimited);
}

// What the cgroup's limit leaves. Inside a container its own group is the root of this tree.
size_t CgroupMemory() {
  const size_t limit = NumberIn("/sys/fs/cgroup/memory.max", MemoryBudget::kUnlimited);
  if (limit == MemoryBudget::kUnlimited) return limit;
  return limit - std::min(limit, NumberIn("/sys/fs/cgroup/memory.current", 0));
}

// "model name" of /proc/cpuinfo; other systems and processors name it otherwise or not at all.
std::string ProcessorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

}  // namespace

int AvailableCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

std::string MachineName() {
  const int cores = AvailableCores();
  return fmt::format("{}, {} core{}", ProcessorName(), cores, cores == 1 ? "" : "s");
}

// Not getrusage: its maximum is handed down by the program that started this one.
size_t PeakResidentMemory() { return BytesOf("VmHWM:", "/proc/self/status", 0); }

size_t AvailableMemory() { return std::min(SystemMemory(), CgroupMemory()); }

}  // namespace kakeya
