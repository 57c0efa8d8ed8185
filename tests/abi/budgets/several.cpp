// SPDX-License-Identifier: MIT
// Several semaphores: waiting for one of them again and again, and fetching many events of a set.
#include "runtime/semaphore_set.h"
#include "tests/abi/budgets/measure.h"

#include <array>

using namespace annulus;

TEST(several, "waiting for one of several semaphores costs little for each of them") {
    const auto image = MUST(Peer::image(test));
    const auto there = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    std::array<Semaphore, abi::wait_any_max> semaphores;
    std::array<abi::WaitEntry, abi::wait_any_max> entries = {};
    for (size_t i = 0; i < entries.size(); ++i) {
        semaphores[i] = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
        entries[i].semaphore = semaphores[i].value();
    }
    for (const size_t count : {1, 8, 128}) {
        const Grant grants[] = {{"mine", there}, {"yours", semaphores[count - 1]}};
        const std::string_view arguments[] = {"two"};
        const auto child = MUST(Peer::start(test, image, grants, arguments));
        uint64_t failed = 0;
        char name[48];
        measure(test, "8", format(name, "wait_any of {}, block and wake", count), [&] {
            system::signal(there.value());
            const auto woken = system::wait_any(entries.data(), count, abi::deadline_never);
            failed += woken.status.ok() && woken.index == count - 1 ? 0 : 1;
        });
        EXPECT_EQ(failed, 0u);
        Peer::stop(test, child);
    }
}

TEST(ready_events, "events of a set of which many are ready cost little each") {
    constexpr unsigned ready = 64;
    const auto set = MUST(SemaphoreSet::create(test.budget(), ready));
    std::array<Semaphore, ready> semaphores;
    for (unsigned i = 0; i < ready; ++i) {
        semaphores[i] = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
        EXPECT_OK(set.add(semaphores[i], i));
    }
    std::array<abi::SetEvent, ready> events;
    uint64_t lost = 0;
    measure(
        test, "11", "event of 64 ready, its signal included",
        [&] {
            for (const Semaphore& semaphore : semaphores) system::signal(semaphore.value());
            const auto taken = set.wait(events);
            lost += taken.ok() && *taken == ready ? 0 : 1;
        },
        ready);
    EXPECT_EQ(lost, 0u);
}
