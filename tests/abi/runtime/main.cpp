// SPDX-License-Identifier: MIT
// The runtime on the real kernel: start, memory functions, heap, clock.

#include "tests/guest/harness.h"

#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/program_heap.h"

#include <string.h>

#include <array>
#include <memory>

const char* const annulus::test::suite = "runtime";

namespace {

// Pointers in static data are right only after relocation, and this one only after constructors.
const char* const words[] = {"one", "two", "three"};
struct Constructed {
    Constructed() : value(strlen(words[2])) {}
    size_t value;
};
const Constructed constructed;

constinit thread_local uint64_t initialised = 0x1122334455667788;
constinit thread_local uint64_t zeroed = 0;
struct alignas(64) Line {
    char bytes[64];
};
constinit thread_local Line aligned = {"aligned"};

}  // namespace

TEST(relocation, "pointers in static data point to this image") {
    EXPECT_EQ(std::string_view(words[1]), "two");
    EXPECT_EQ(constructed.value, 5);
}

TEST(thread_local_storage, "the first thread has its thread-local variables") {
    EXPECT_EQ(initialised, 0x1122334455667788u);
    EXPECT_EQ(zeroed, 0);
    EXPECT_EQ(std::string_view(aligned.bytes), "aligned");
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&aligned) % 64, 0u);
    zeroed = 5;
    EXPECT_EQ(zeroed, 5);
}

TEST(environment, "what was not handed out is not_granted") {
    EXPECT_ERROR(test.environment().handle<Memory>("no such thing"), Error::not_granted);
    EXPECT_OK(test.environment().handle<Process>("process"));
}

TEST(moves, "memmove is right for every distance and size up to 40") {
    std::array<unsigned char, 96> bytes;
    std::array<unsigned char, 96> wanted;
    for (size_t size = 0; size <= 40; ++size) {
        for (size_t to = 0; to <= 48; ++to) {
            for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i + 1);
            wanted = bytes;
            for (size_t i = 0; i < size; ++i)
                wanted[to + i] = static_cast<unsigned char>(24 + i + 1);
            memmove(&bytes[to], &bytes[24], size);
            EXPECT(memcmp(bytes.data(), wanted.data(), bytes.size()) == 0);
        }
    }
}

TEST(fills, "memset, memcmp and memchr agree for every size up to 40") {
    std::array<unsigned char, 48> bytes = {};
    for (size_t size = 0; size <= 40; ++size) {
        memset(bytes.data(), 0, bytes.size());
        memset(bytes.data() + 3, 0xab, size);
        size_t count = 0;
        for (const unsigned char byte : bytes) count += byte == 0xab;
        EXPECT_EQ(count, size);
        EXPECT((memchr(bytes.data(), 0xab, bytes.size()) == &bytes[3]) == (size != 0));
    }
    EXPECT(memcmp("abc", "abd", 3) < 0);
    EXPECT(memcmp("ab\xff", "ab\x01", 3) > 0);
}

TEST(heap, "blocks are the program's own, and big ones go back to the kernel") {
    const size_t used = heap_use().used;
    const size_t mapped = heap_use().mapped;
    {
        const std::unique_ptr<char[]> small(new char[100]);
        const std::unique_ptr<char[]> big(new char[1 << 20]);
        memset(small.get(), 1, 100);
        memset(big.get(), 2, 1 << 20);
        EXPECT_EQ(small[99], 1);
        EXPECT(heap_use().mapped > (1 << 20));
    }
    EXPECT_EQ(heap_use().used, used);
    EXPECT(heap_use().mapped <= mapped + 64 * 1024);
}

TEST(heap_returns, "freed big blocks leave the budget's account") {
    const auto before = MUST(test.budget().get_ledger());
    delete[] new (std::nothrow) char[3 << 20];
    const auto after = MUST(test.budget().get_ledger());
    const auto pages = static_cast<unsigned>(abi::Resource::pages);
    EXPECT_EQ(after.used[pages], before.used[pages]);
}

TEST(heap_exhausted, "a nothrow new beyond the budget answers null") {
    const auto ledger = MUST(test.budget().get_ledger());
    const uint64_t pages = ledger.limit[static_cast<unsigned>(abi::Resource::pages)];
    if (pages > abi::memory_pages_max) return;
    EXPECT(new (std::nothrow) char[(pages + 1) * abi::page_size] == nullptr);
}

TEST(clock, "the clock runs and does not go back") {
    const auto clock = MUST(Clock::open());
    const uint64_t first = clock.now();
    uint64_t last = first;
    for (int i = 0; i < 1000; ++i) {
        const uint64_t next = clock.now();
        EXPECT(next >= last);
        last = next;
    }
    EXPECT(last > first);
}

TEST(raw_calls, "numbers that are no system call answer bad_call") {
    for (const uint64_t number : {uint64_t{0}, abi::system_call_first - 1,
                                  abi::system_call_first + abi::system_call_count, ~uint64_t{0}}) {
        system::Registers registers = {};
        registers.rax = number;
        registers.r15 = 0x5a5a;
        system::annulus_raw_system_call(&registers);
        EXPECT_EQ(Status(registers.rax).code(), Error::bad_call);
    }
    EXPECT_ERROR(system::enter(0).status, Error::bad_handle);
}

TEST(no_writable_code, "no page of the running machine is writable and executable") {
    // The runner on the host looks at all page tables when it reads this line, and fails the boot
    // if it finds such a page; the machine stands still meanwhile.
    log("MONITOR wx");
    EXPECT(!test.failed());
}

TEST(protections, "every CPU keeps the kernel from running or reading user memory by accident") {
    // As above: the runner looks at the control registers of all CPUs.
    log("MONITOR protections");
    EXPECT(!test.failed());
}
