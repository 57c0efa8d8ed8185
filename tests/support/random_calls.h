// SPDX-License-Identifier: MIT
// RandomCaller: a kernel thread whose system calls are chosen at random, made from the descriptions
// of all operations: mostly well-formed, with live, stale and random handles.
#pragma once

#include "abi/operations.h"
#include "abi/ring.h"
#include "tests/support/choices.h"
#include "tests/support/kernel_machine.h"

#include <array>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

namespace annulus::test {

// What the threads of a process know: handles by type, some of them closed or dead by now. Used by
// several host threads.
class HandlePool {
public:
    // So many at once: the fewer, the more often two calls meet at one object.
    explicit HandlePool(size_t room) : room_(room) {}
    // In the place of an older one, round and round, but not of the first two.
    void keep(abi::ObjectType type, abi::Handle handle);
    // One of that type, the first, the second and so on; none: there is none.
    abi::Handle get(abi::ObjectType type, unsigned index);
    abi::ObjectType type_at(unsigned index);

private:
    struct Known {
        abi::ObjectType type;
        abi::Handle handle;
    };

    std::mutex mutex_;
    const size_t room_;
    std::vector<Known> known_;
    size_t next_ = 0;
};

// Used by one host thread at a time.
class RandomCaller {
public:
    static constexpr size_t memory_size = 4 * abi::page_size;

    // `memory`: for what its calls read and write; memory_size bytes.
    RandomCaller(KernelMachine& machine, HandlePool& pool, Choices& choices,
                 std::span<std::byte> memory, std::unique_ptr<MachineThread> thread);

    // Makes what a program begins with: budgets, and an object of each type that it may have.
    void equip();

    // It is not blocked: one call.
    void call();
    // It is blocked and woken: goes on.
    void go_on();
    // Into memory of the process, as if it had that mapped: an entry of a ring.
    void write_entry();
    // A fault in some page of its process.
    void touch_page();

    bool blocked() const { return blocked_; }
    MachineThread& thread() { return *thread_; }
    uint64_t successes() const { return successes_; }

private:
    void begin(void (*call)(kernel::Thread&));
    void note_answer();
    void fault();
    abi::Handle make(abi::ObjectType by, uint16_t selector, std::initializer_list<uint64_t> words);

    // Each fills the message.
    void make_call();
    void make_close();
    void make_request();
    void make_reply();
    void make_wait();
    void make_wait_any();

    abi::Handle handle(abi::ObjectType type);
    abi::ObjectType any_type() { return pool_.type_at(choices_.below(256)); }
    abi::ObjectType waitable();
    uint64_t address();
    uint64_t mapped_address();
    uint64_t word();
    uint64_t deadline();
    uint64_t operand(const abi::Operand& operand);
    uint64_t named_word(std::string_view name);
    uint64_t extent(abi::Transfer transfer);

    KernelMachine& machine_;
    HandlePool& pool_;
    Choices& choices_;
    std::span<std::byte> memory_;
    std::unique_ptr<MachineThread> thread_;
    bool blocked_ = false;
    bool serves_ = false;   // in the call that it makes
    uint64_t request_ = 0;  // that it took last
    // Of the call that it makes: the operation, and the type of what it named.
    const abi::Operation* operation_ = nullptr;
    abi::ObjectType target_ = abi::ObjectType::none;
    abi::ObjectType last_type_ = abi::ObjectType::any;
    // Words that calls answered, to be operands of others.
    std::array<uint64_t, 8> answered_{};
    size_t next_answered_ = 0;
    uint64_t successes_ = 0;
};

}  // namespace annulus::test
