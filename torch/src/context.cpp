// The parts of libtorch's global context that tch does not reach: all four INT8 engines (tch knows
// two) and what the library says of itself.

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/version.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

namespace {

size_t copy_out(const std::string& text, char* buffer, size_t capacity) {
  const size_t length = std::min(text.size(), capacity);
  std::memcpy(buffer, text.data(), length);
  return length;
}

// The allocator of CUDA devices; none where this libtorch or machine has none.
c10::DeviceAllocator* gpu_allocator() {
  try {
    auto* allocator = dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(c10::DeviceType::CUDA));
    return allocator != nullptr && allocator->initialized() ? allocator : nullptr;
  } catch (const std::exception&) {
    return nullptr;
  }
}

}  // namespace

extern "C" {

// OpenMP's, where libtorch is built with it.
void omp_set_num_threads(int) __attribute__((weak));

// Keeps what the calling thread asks of libtorch on that thread, and leaves other threads as they are.
void requant_compute_alone() {
  at::get_num_threads();  // the thread's own start, which would set the count anew if it came later
  if (omp_set_num_threads != nullptr) omp_set_num_threads(1);
}

int requant_supports_engine(int id) {
  const auto& engines = at::globalContext().supportedQEngines();
  const auto wanted = static_cast<at::QEngine>(id);
  return std::find(engines.begin(), engines.end(), wanted) != engines.end();
}

// Returns whether the engine is now in use.
int requant_set_engine(int id) {
  if (!requant_supports_engine(id)) return 0;
  try {
    at::globalContext().setQEngine(static_cast<at::QEngine>(id));
  } catch (const std::exception&) {
    return 0;
  }
  return at::globalContext().qEngine() == static_cast<at::QEngine>(id);
}

int requant_engine() { return static_cast<int>(at::globalContext().qEngine()); }

// On GPUs: TensorFloat-32 rounds FP32 convolutions and products to 10 bits of mantissa; cuDNN's search
// for the fastest kernel makes what is computed depend on a timing, and some of its kernels add in any order.
void requant_settle_gpu() {
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setBenchmarkCuDNN(false);
  at::globalContext().setDeterministicCuDNN(true);
}

// The most bytes that tensors held on the first GPU at once; -1 where nobody counts them.
int64_t requant_gpu_peak() {
  auto* allocator = gpu_allocator();
  if (allocator == nullptr) return -1;
  try {
    return allocator->getDeviceStats(0).allocated_bytes[0].peak;
  } catch (const std::exception&) {
    return -1;
  }
}

// Lowers that mark to what they hold now.
void requant_forget_gpu_peak() {
  auto* allocator = gpu_allocator();
  if (allocator == nullptr) return;
  try {
    allocator->resetPeakStats(0);
  } catch (const std::exception&) {
  }
}

size_t requant_cpu_capability(char* buffer, size_t capacity) {
  return copy_out(at::get_cpu_capability(), buffer, capacity);
}

size_t requant_build(char* buffer, size_t capacity) {
  return copy_out(at::show_config(), buffer, capacity);
}

size_t requant_version(char* buffer, size_t capacity) {
  return copy_out(TORCH_VERSION, buffer, capacity);
}
}
