// SPDX-License-Identifier: MIT
// Waiting for one of several semaphores again and again, as a program with several sources does.
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
