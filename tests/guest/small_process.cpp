// SPDX-License-Identifier: MIT
// Making small processes.

#include "tests/guest/small_process.h"

#include "abi/operations.h"

namespace annulus::test {

namespace {

constexpr uint64_t place_size = 128;
static_assert(sizeof(system::Registers) <= place_size);

}  // namespace

Result<Memory> make_small_code(BudgetReference budget) {
    auto code = TRY(budget.create_memory(1, 0));
    const auto size = static_cast<size_t>(small_end - small_begin);
    TRY(code.write_bytes(0, {small_begin, size}));
    return code;
}

Result<SmallProcess> SmallProcess::create(BudgetReference budget, MemoryReference code,
                                          uint64_t handles, uint64_t flags) {
    SmallProcess made(TRY(budget.create_process(handles, flags)));
    const auto stack = TRY(budget.create_memory(1, 0));
    TRY(made.process_.map(code, 0, abi::page_size, small_code,
                          abi::map_read | abi::map_execute | abi::map_fixed));
    TRY(made.process_.map(stack, 0, abi::page_size, small_stack,
                          abi::map_read | abi::map_write | abi::map_fixed));
    return made;
}

Result<void> SmallProcess::add_data(BudgetReference budget) {
    data_ = TRY(budget.create_memory(1, 0));
    TRY(process_.map(data_, 0, abi::page_size, small_data,
                     abi::map_read | abi::map_write | abi::map_fixed));
    return {};
}

Result<abi::Handle> SmallProcess::lend(ObjectReference object, abi::Rights rights) const {
    auto copy = TRY(object.get_duplicate(rights, 0));
    return process_.share_install(std::move(copy.handle));
}

Result<Thread> SmallProcess::start(SmallProgram program, uint64_t argument,
                                   unsigned priority) const {
    return process_.create_thread(small_address(program), small_stack_top, argument, 0, priority,
                                  0);
}

Result<Thread> SmallProcess::start_call(unsigned place, const system::Registers& registers) const {
    const uint64_t offset = place * place_size;
    TRY(write_data(offset, std::as_bytes(std::span(&registers, 1))));
    return start(small_call, small_data + offset);
}

system::Registers wait_registers(abi::Handle semaphore, uint64_t deadline) {
    system::Registers registers = {};
    registers.rax = static_cast<uint64_t>(abi::SystemCall::wait);
    registers.rdi = semaphore;
    registers.rdx = deadline;
    return registers;
}

system::Registers wait_any_registers(uint64_t entries, uint64_t count, uint64_t deadline) {
    system::Registers registers = {};
    registers.rax = static_cast<uint64_t>(abi::SystemCall::wait_any);
    registers.rdi = entries;
    registers.rsi = count;
    registers.rdx = deadline;
    return registers;
}

system::Registers signal_and_wait_registers(abi::Handle wake, abi::Handle sleep,
                                            uint64_t deadline) {
    system::Registers registers = {};
    registers.rax = static_cast<uint64_t>(abi::SystemCall::signal_and_wait);
    registers.rdi = wake;
    registers.rsi = sleep;
    registers.rdx = deadline;
    return registers;
}

system::Registers call_registers(abi::Handle object, uint64_t operation, uint64_t word_0) {
    system::Registers registers = {};
    registers.rax = static_cast<uint64_t>(abi::SystemCall::call);
    registers.rdi = object;
    registers.rsi = operation;
    registers.rdx = word_0;
    return registers;
}

system::Registers serve_registers(abi::Handle table, uint64_t deadline) {
    system::Registers registers = {};
    registers.rax = static_cast<uint64_t>(abi::SystemCall::reply_and_wait);
    registers.rdi = table;
    registers.rbx = abi::reply_deadline;
    registers.r14 = deadline;
    return registers;
}

}  // namespace annulus::test
