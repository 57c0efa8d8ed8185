// SPDX-License-Identifier: MIT
// What a thread finds in its registers: its own values, zero, and never another thread's.

#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/semaphore.h"
#include "tests/guest/harness.h"
#include "tests/guest/threads.h"

#include <string.h>

namespace annulus::test::cases {
namespace {

constexpr unsigned vector_count = 16;

// All vector registers and their control word.
struct alignas(64) Vectors {
    uint8_t bytes[vector_count][32];
    uint32_t control;

    void fill(uint8_t seed) {
        for (unsigned i = 0; i < vector_count; ++i) {
            for (unsigned k = 0; k < 32; ++k) {
                bytes[i][k] = static_cast<uint8_t>(seed + i * 37 + k * 11);
            }
        }
        control = 0x1f80 | (seed & 3u) << 13;  // the rounding mode: Intel SDM vol. 1, 10.2.3
    }
};

// Whether the kernel switches the upper halves, too (Intel SDM vol. 1, 14.3).
bool wide_registers() {
    uint32_t eax = 1, ebx = 0, ecx = 0, edx = 0;
    asm volatile("cpuid" : "+a"(eax), "+b"(ebx), "+c"(ecx), "+d"(edx));
    if ((ecx >> 27 & 3) != 3) return false;
    asm volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return (eax & 6) == 6;
}

// Safety (both): the program is compiled without vector instructions, so nobody else uses these
// registers between the two.
[[gnu::noinline]] void load(const Vectors& from, bool wide) {
    if (wide) {
        asm volatile(
            ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
            "vmovdqu 32*\\n(%0), %%ymm\\n\n\t"
            ".endr"
            :
            : "r"(&from)
            : "memory");
    } else {
        asm volatile(
            ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
            "movdqu 32*\\n(%0), %%xmm\\n\n\t"
            ".endr"
            :
            : "r"(&from)
            : "memory");
    }
    asm volatile("ldmxcsr %0" : : "m"(from.control));
}

[[gnu::noinline]] void store(Vectors& to, bool wide) {
    if (wide) {
        asm volatile(
            ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
            "vmovdqu %%ymm\\n, 32*\\n(%0)\n\t"
            ".endr"
            :
            : "r"(&to)
            : "memory");
    } else {
        asm volatile(
            ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
            "movdqu %%xmm\\n, 32*\\n(%0)\n\t"
            ".endr"
            :
            : "r"(&to)
            : "memory");
    }
    asm volatile("stmxcsr %0" : "=m"(to.control));
}

// Of each register the part that is switched.
unsigned differences(const Vectors& left, const Vectors& right, bool wide) {
    unsigned count = left.control != right.control ? 1 : 0;
    for (unsigned i = 0; i < vector_count; ++i) {
        if (memcmp(left.bytes[i], right.bytes[i], wide ? 32 : 16) != 0) ++count;
    }
    return count;
}

constinit thread_local uint64_t own_value = 0;

// The registers of a system call; those that are not named hold something that must not come back.
struct Filled {
    static constexpr uint64_t rest = 0x5ec2e75ec2e7;
    uint64_t rax = rest, rbx = rest, rdx = rest, rsi = rest, rdi = rest, rbp = rest, r8 = rest,
             r9 = rest, r10 = rest, r12 = rest, r13 = rest, r14 = rest, r15 = rest;
};

system::Registers enter_filled(const Filled& in) {
    system::Registers registers = {in.rax, in.rbx, in.rdx, in.rsi, in.rdi, in.rbp, in.r8,
                                   in.r9,  in.r10, in.r12, in.r13, in.r14, in.r15};
    system::annulus_raw_system_call(&registers);
    return registers;
}

// What came back beside the status, for calls whose answer has no more: neither zero nor what the
// caller had there itself.
uint64_t leaks(const system::Registers& got, const Filled& in = {}) {
    const uint64_t pairs[][2] = {{got.rbx, in.rbx}, {got.rdx, in.rdx}, {got.rsi, in.rsi},
                                 {got.rdi, in.rdi}, {got.rbp, in.rbp}, {got.r8, in.r8},
                                 {got.r9, in.r9},   {got.r10, in.r10}, {got.r12, in.r12},
                                 {got.r13, in.r13}, {got.r14, in.r14}, {got.r15, in.r15}};
    uint64_t found = 0;
    for (const auto& [after, before] : pairs) {
        if (after != before) found |= after;
    }
    return found;
}

constexpr uint64_t number(abi::SystemCall call) { return static_cast<uint64_t>(call); }

}  // namespace
}  // namespace annulus::test::cases

TEST(vectors_kept, "vector registers survive preemption by threads that use them, too") {
    const bool wide = wide_registers();
    EXPECT_OK(on_one_cpu([&] {
        unsigned wrong[3] = {};
        Crew<3> crew;
        for (unsigned i = 0; i < 3; ++i) {
            EXPECT_OK(crew.add(
                [&, i] {
                    Vectors mine;
                    Vectors found;
                    mine.fill(static_cast<uint8_t>(i * 50 + 1));
                    const uint64_t end = now() + milliseconds(60).nanoseconds;
                    load(mine, wide);
                    while (now() < end) {
                    }
                    store(found, wide);
                    wrong[i] = differences(mine, found, wide);
                },
                patient));
        }
        EXPECT_OK(crew.join());
        for (const unsigned count : wrong) EXPECT_EQ(count, 0);
    }));
    report_count("wide_registers", wide ? 1 : 0);
}

TEST(vectors_hidden, "a thread finds clean vector registers where another one was preempted") {
    const bool wide = wide_registers();
    EXPECT_OK(on_one_cpu([&] {
        Vectors clean = {};
        clean.control = 0x1f80;
        const auto never = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
        Vectors at_start;
        Vectors after_wait;
        std::atomic<bool> done = false;
        Vectors secret;
        secret.fill(77);
        Crew<2> crew;
        EXPECT_OK(crew.add(
            [&] {
                static_cast<void>(wait_for(never, Deadline::after(milliseconds(10))));
                store(after_wait, wide);
                done = true;
            },
            eager));
        load(secret, wide);
        while (!done.load()) {
        }
        Vectors still;
        store(still, wide);
        EXPECT_EQ(differences(still, secret, wide), 0);
        EXPECT_EQ(differences(after_wait, clean, wide), 0);
        EXPECT_OK(crew.add([&] { store(at_start, wide); }, eager));
        EXPECT_EQ(differences(at_start, clean, wide), 0);
        EXPECT_OK(crew.join());
    }));
}

TEST(general_registers,
     "a system call brings back its answer, and zero or the caller's own values") {
    const auto semaphore =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 100, {}, 0));
    const uint64_t handle = semaphore.value();
    const abi::WaitEntry entries[] = {{handle, 0}};
    // Safety: only the kernel reads it.
    const auto list = reinterpret_cast<uint64_t>(entries);

    for (const uint64_t bad : {uint64_t{77}, number(abi::SystemCall::enter)}) {
        const auto got = enter_filled({.rax = bad});
        EXPECT_EQ(leaks(got), 0);
    }
    auto got = enter_filled({.rax = number(abi::SystemCall::wait), .rdx = 0, .rdi = handle});
    EXPECT_EQ(got.rax, 0);
    EXPECT_EQ(leaks(got), 0);
    got = enter_filled({.rax = number(abi::SystemCall::wait), .rdx = 0, .rdi = 1});
    EXPECT(got.rax != 0);
    EXPECT_EQ(leaks(got), 0);
    got = enter_filled({.rax = number(abi::SystemCall::wait_any), .rdx = 0, .rsi = 1, .rdi = list});
    EXPECT_EQ(got.rax, 0);
    EXPECT_EQ(leaks(got), 0);
    // The second finds the semaphore by what the first one left.
    for (const uint64_t units : {1, 1, 0}) {
        const Filled in = {
            .rax = number(abi::SystemCall::signal), .rsi = units, .rdi = handle, .r8 = 1};
        got = enter_filled(in);
        EXPECT_EQ(got.rax, 0);
        EXPECT_EQ(leaks(got, in), 0);
        EXPECT_EQ(got.rbp, in.rbp);
    }
    for (unsigned i = 0; i < 2; ++i) {
        const Filled in = {
            .rax = number(abi::SystemCall::wait), .rdx = abi::deadline_never, .rdi = handle};
        got = enter_filled(in);
        EXPECT_EQ(got.rax, 0);
        EXPECT_EQ(got.rdx, 0);
        EXPECT_EQ(leaks(got, in), 0);
        EXPECT_EQ(got.rbp, in.rbp);
    }
    got = enter_filled(
        {.rax = number(abi::SystemCall::signal_and_wait), .rdx = 0, .rsi = handle, .rdi = handle});
    EXPECT_EQ(got.rax, 0);
    EXPECT_EQ(leaks(got), 0);
}

TEST(call_registers,
     "an operation and a failed wait for requests bring back no more than answers") {
    const auto semaphore =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 100, {}, 0));
    const auto table = MUST(test.budget().create_table(1, 0, {}, 0));
    const uint64_t handle = semaphore.value();
    const uint64_t get_state = abi::operation_word(abi::Verb::get, 0);
    auto got = enter_filled({.rax = number(abi::SystemCall::call),
                             .rbx = 0,
                             .rdx = 0,
                             .rsi = get_state,
                             .rdi = handle,
                             .r8 = 0,
                             .r9 = 0,
                             .r10 = 0,
                             .r12 = 0,
                             .r13 = 0});
    EXPECT_EQ(got.rax, 0);
    EXPECT_EQ(got.r8, 100);
    EXPECT((got.rbx | got.rdi | got.rbp | got.r12 | got.r13 | got.r14 | got.r15 | got.rsi) == 0);
    got = enter_filled({.rax = number(abi::SystemCall::call), .rsi = get_state, .rdi = handle});
    EXPECT(got.rax != 0);
    EXPECT_EQ(leaks(got), 0);
    got = enter_filled({.rax = number(abi::SystemCall::reply_and_wait),
                        .rbx = abi::reply_deadline,
                        .rsi = 0,
                        .rdi = table.value(),
                        .r14 = 0});
    EXPECT(got.rax != 0);
    EXPECT_EQ(leaks(got), 0);
}

TEST(woken_registers, "a thread that slept finds nothing of others in its registers, either") {
    EXPECT_OK(on_one_cpu([&] {
        const auto semaphore =
            MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
        const abi::WaitEntry entries[] = {{semaphore.value(), 0}};
        // Safety: only the kernel reads it.
        const auto list = reinterpret_cast<uint64_t>(entries);
        system::Registers got[4];
        Crew<4> crew;
        for (unsigned i = 0; i < 4; ++i) {
            EXPECT_OK(crew.add(
                [&, i] {
                    const uint64_t end =
                        i < 2 ? abi::deadline_never - 1 : now() + milliseconds(2).nanoseconds;
                    Filled in = {.rax = number(abi::SystemCall::wait),
                                 .rdx = end,
                                 .rsi = 0,
                                 .rdi = semaphore.value()};
                    if (i % 2 == 1) {
                        in.rax = number(abi::SystemCall::wait_any);
                        in.rsi = 1;
                        in.rdi = list;
                    }
                    got[i] = enter_filled(in);
                },
                eager));
        }
        EXPECT_OK(signal(semaphore, 2));
        EXPECT_OK(crew.join());
        for (unsigned i = 0; i < 4; ++i) {
            EXPECT_EQ(Status(got[i].rax).code(), i < 2 ? Error::ok : Error::timed_out);
            EXPECT_EQ(leaks(got[i]), 0);
        }
    }));
}

TEST(thread_pointers, "every thread keeps its own thread pointer, however threads are switched") {
    EXPECT_OK(on_one_cpu([&] {
        const auto ping = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
        const auto pong = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
        std::atomic<unsigned> wrong = 0;
        const auto work = [&](uint64_t id, SemaphoreReference wake, SemaphoreReference sleep) {
            own_value = id;
            for (unsigned i = 0; i < 1000; ++i) {
                static_cast<void>(signal(wake));
                if (own_value != id + i) ++wrong;
                ++own_value;
                if (i % 100 == 0) {
                    const uint64_t end = now() + milliseconds(6).nanoseconds;
                    while (now() < end && own_value == id + i + 1) {
                    }
                }
                static_cast<void>(wait_for(sleep));
            }
            static_cast<void>(signal(wake));
        };
        Crew<3> crew;
        EXPECT_OK(crew.add([&] { work(1'000'000, ping, pong); }, patient));
        EXPECT_OK(crew.add([&] { work(2'000'000, pong, ping); }, patient));
        EXPECT_OK(crew.join());
        EXPECT_EQ(wrong.load(), 0);
    }));
}
