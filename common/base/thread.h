// Thread: a named thread that its owner joins; nothing is ever detached. Where threads may be made:
// tests/tidy/layers.txt. Errors: none; a thread that cannot be made ends the process.
#ifndef LOCKSTEP_COMMON_BASE_THREAD_H_
#define LOCKSTEP_COMMON_BASE_THREAD_H_

#include <functional>
#include <string>
#include <thread>

namespace lockstep {

class Thread {
 public:
  // `name`: at most 15 characters, as debuggers and `top -H` show it. All signals are blocked in
  // the thread: they are the main thread's.
  Thread(const std::string& name, std::function<void()> run);
  Thread(Thread&&) = default;
  Thread& operator=(Thread&&) = delete;
  ~Thread() { Join(); }

  void Join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_THREAD_H_
