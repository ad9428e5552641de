// Locks that clang checks: a member declared with KAKEYA_GUARDED_BY(mutex_) can be used only where
// mutex_ is held, a function with KAKEYA_REQUIRES(mutex_) be called only there. -Wthread-safety
// makes a breach an error; other compilers see plain locks. (std::mutex carries no annotations in
// libstdc++, hence the wrappers.)
#ifndef KAKEYA_BASE_MUTEX_H_
#define KAKEYA_BASE_MUTEX_H_

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define KAKEYA_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define KAKEYA_THREAD_ATTRIBUTE(x)
#endif
#define KAKEYA_CAPABILITY(name) KAKEYA_THREAD_ATTRIBUTE(capability(name))
#define KAKEYA_SCOPED_CAPABILITY KAKEYA_THREAD_ATTRIBUTE(scoped_lockable)
#define KAKEYA_GUARDED_BY(mutex) KAKEYA_THREAD_ATTRIBUTE(guarded_by(mutex))
#define KAKEYA_REQUIRES(...) KAKEYA_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define KAKEYA_EXCLUDES(...) KAKEYA_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define KAKEYA_ACQUIRE(...) KAKEYA_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define KAKEYA_RELEASE(...) KAKEYA_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define KAKEYA_NO_THREAD_SAFETY_ANALYSIS KAKEYA_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace kakeya {

class KAKEYA_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() KAKEYA_ACQUIRE() { mutex_.lock(); }
  void Unlock() KAKEYA_RELEASE() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

// Holds a mutex for as long as it lives.
class KAKEYA_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) KAKEYA_ACQUIRE(mutex) : mutex_(mutex) { mutex_->Lock(); }
  ~MutexLock() KAKEYA_RELEASE() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

class CondVar {
 public:
  // Releases the mutex, waits for a notification and takes the mutex again. May return without a
  // notification: call it in a loop that tests the condition.
  void Wait(Mutex* mutex) KAKEYA_REQUIRES(mutex) KAKEYA_NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock lock(mutex->mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace kakeya

#endif  // KAKEYA_BASE_MUTEX_H_
