// Where operators run, and where the memory lies that they work on. Two things: several devices may
// share a memory (the scalar reference and the vector kernels both work on the host's), and a
// buffer outlives the choice of who works on it next.
#ifndef KAKEYA_BASE_DEVICE_H_
#define KAKEYA_BASE_DEVICE_H_

#include <cstdint>

namespace kakeya {

enum class Device : uint8_t {
  kRef,  // scalar truth, for tests
  kCpu,  // vectorised, best instruction set found at run time
};

enum class MemorySpace : uint8_t {
  kHost,  // the processor reads and writes it
};

// The memory that a device's operators take and give their tensors in.
constexpr MemorySpace SpaceOf(Device device) {
  switch (device) {
    case Device::kRef:
    case Device::kCpu:
      return MemorySpace::kHost;
  }
  return MemorySpace::kHost;
}

}  // namespace kakeya

#endif  // KAKEYA_BASE_DEVICE_H_
