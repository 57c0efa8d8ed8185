// SPDX-License-Identifier: MIT
// Time slices that end at each point of the kernel's work. Here, because with -icount an interrupt
// comes at exactly its instruction, and one that asks for another at once leaves no room for
// anything else, as on hardware.
#include "runtime/clock.h"
#include "runtime/thread.h"
#include "tests/abi/budgets/measure.h"
#include "tests/guest/threads.h"

#include <atomic>

namespace annulus::test::cases {
namespace {

void spin_until(uint64_t time_ns) {
    while (now() < time_ns) asm volatile("");
}

// Starts a process that has much memory, and kills it when `used_ns` of this thread's slice have
// gone. The slice begins with the unit of `turn`, which makes an equal ready; what is left of it
// is lent to that thread, and goes on when nobody runs but the kernel.
Result<void> kill_in_slice(Context& test, const ProgramImage& image, SemaphoreReference ready,
                           SemaphoreReference turn, uint64_t used_ns) {
    const Grant grants[] = {{"budget", test.budget()}, {"yours", ready}};
    const std::string_view arguments[] = {"fill"};
    const auto child =
        TRY(spawn(image, {.budget = test.budget(), .grants = grants, .arguments = arguments}));
    TRY(Result<void>(system::wait(ready.value(), abi::deadline_never)));
    TRY(Result<void>(system::signal(turn.value())));
    spin_until(now() + used_ns);
    TRY(child.process.remove_kill(0));
    return system::wait(child.ended.value(), abi::deadline_never);
}

}  // namespace
}  // namespace annulus::test::cases

TEST(slices, "a time slice may end while the kernel takes a process apart") {
    constexpr uint64_t slice_ns = 5'000'000;
    const auto image = MUST(Peer::image(test));
    const auto ready = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto turn = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    EXPECT_OK(on_one_cpu([&] {
        // An equal, so that there are slices at all.
        std::atomic<bool> done{false};
        auto equal = start_thread(
            [&] {
                while (!done.load(std::memory_order_relaxed)) {
                    system::wait(turn.value(), abi::deadline_never);
                }
            },
            {.stack_pages = 8, .priority = 20, .affinity = 1});
        for (uint64_t used = slice_ns * 7 / 10; used < slice_ns; used += slice_ns / 50) {
            EXPECT_OK(kill_in_slice(test, image, ready, turn, used));
        }
        done.store(true, std::memory_order_relaxed);
        EXPECT_OK(system::signal(turn.value()));
        if (equal.ok()) EXPECT_OK(equal->join());
    }));
}
