// What this process may use of the machine.
#ifndef KAKEYA_BASE_SYSTEM_H_
#define KAKEYA_BASE_SYSTEM_H_

#include <cstddef>
#include <string>

namespace kakeya {

// Cores, after affinity masks; at least 1.
int AvailableCores();

// The processor's name and the cores that this process may use, e.g. "AMD EPYC 9R14, 2 cores":
// times are comparable within one of these.
std::string MachineName();

// Bytes that can still be taken without swapping or hitting the process's memory limit (cgroup v2),
// as far as the system tells; MemoryBudget::kUnlimited where it doesn't.
size_t AvailableMemory();

// The most bytes of this process that were in memory at once; 0 if the system doesn't tell. Counts
// pages of mapped files, too.
size_t PeakResidentMemory();

}  // namespace kakeya

#endif  // KAKEYA_BASE_SYSTEM_H_
