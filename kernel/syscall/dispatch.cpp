// SPDX-License-Identifier: MIT
// From a system call to its handler. Everything that abi/operations.h says about an operation is
// checked here, once, for all of them.
#include "abi/operations.h"
#include "arch/cpu.h"
#include "base/container_of.h"
#include "kernel/assert.h"
#include "kernel/log.h"
#include "kernel/object/table.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/syscall/described_errors.h"
#include "kernel/syscall/handlers.h"
#include "kernel/syscall/invocation.h"
#include "kernel/syscall/plans.h"
#include "kernel/syscall/system_calls.h"

#include <array>

namespace annulus::kernel {

namespace {

constexpr uint64_t call_flags = abi::call_deadline | abi::call_buffer;

// Nobody asks for this one: its operation has flags, which the dispatcher takes off first, and
// below them reserved bits, which it refuses.
constexpr Plan no_plan = {.handler = nullptr,
                          .operation = call_flags | 0xfff0,
                          .right = 0,
                          .bytes_mask = 0,
                          .operands = 0};
static_assert((abi::operation_word_reserved & 0xfff0) == 0xfff0);

consteval Plan make_plan(unsigned index) {
    const abi::Operation& operation = abi::operations[index];
    Plan plan = {.handler = operation_handlers[index],
                 .operation = static_cast<uint64_t>(operation.verb) |
                              static_cast<uint64_t>(operation.selector) << 16,
                 .right = operation.needs_right ? abi::right_of(operation.verb) : 0,
                 .bytes_mask = operation.transfer == abi::Transfer::bytes_in ? 0 : ~0u,
                 .operands = 0};
    for (uint8_t i = 0; i < abi::message_words; ++i) {
        if (operation.in[i].kind == abi::OperandKind::absent) continue;
        if (plan.operands != i) __builtin_unreachable();  // an absent word is before another one
        plan.operands = i + 1;
        if (operation.in[i].kind == abi::OperandKind::moved) {
            plan.operation |= uint64_t{1} << (32 + i);
        }
    }
    if (operation.answers_handles()) plan.operation |= abi::call_takes_handles;
    return plan;
}

consteval auto make_plans() {
    std::array<Plan, abi::operation_count + 1> plans{};
    for (unsigned i = 0; i < abi::operation_count; ++i) plans[i] = make_plan(i);
    plans[abi::operation_count] = no_plan;
    return plans;
}

consteval auto make_places() {
    std::array<uint8_t, place_count> places{};
    for (uint8_t& place : places) place = abi::operation_count;
    for (unsigned i = 0; i < abi::operation_count; ++i) {
        for (unsigned type = 0; type < abi::object_type_count; ++type) {
            const abi::ObjectType object = abi::operations[i].object;
            if (object != abi::ObjectType::any && static_cast<unsigned>(object) != type) continue;
            uint8_t& place =
                places[place_of(static_cast<abi::ObjectType>(type), make_plan(i).operation)];
            if (place != abi::operation_count) __builtin_unreachable();  // two in one place
            place = static_cast<uint8_t>(i);
        }
    }
    return places;
}
static_assert(abi::operation_count < 0xff);

consteval auto make_operand_words() {
    std::array<std::array<uint32_t, 8>, abi::operation_count> words{};
    for (unsigned i = 0; i < abi::operation_count; ++i) {
        for (unsigned j = 0; j < abi::message_words; ++j) {
            const abi::Operand& operand = abi::operations[i].in[j];
            words[i][j] = static_cast<uint32_t>(entry_word(0, operand.type, operand.needs));
        }
    }
    return words;
}

[[gnu::always_inline]] inline unsigned find_plan(abi::ObjectType type, uint64_t operation) {
    return operation_places.data()[place_of(type, operation)];
}

// In debug builds: a line that fails every test that it appears in (tools/test/transcript.py).
void check_described(const abi::Operation& operation, Status status) {
    if constexpr (debug_checks) {
        if (describes(operation, status.code())) return;
        log("undescribed: {} (object type {}) answered {}", operation.name,
            static_cast<unsigned>(operation.object), abi::name_of(status.code()));
    }
}

void fail(Thread& thread, Status status) {
    thread.message = {};
    thread.message.rax = status.bits;
    thread.resume = Resume::message;
}

// Why `operation` is not to be run by this plan; the first reason counts. Ok if there is none.
Status check_message(const Invocation& invocation, uint64_t operation, const Plan& plan) {
    if (static_cast<uint32_t>(operation) != static_cast<uint32_t>(plan.operation)) {
        return Error::bad_operation;
    }
    if ((plan.right & ~invocation.rights()) != 0) {
        return Status(Error::no_right, static_cast<uint16_t>(operation & 0xf));
    }
    for (unsigned i = plan.operands; i < abi::message_words; ++i) {
        if (invocation.words[i] != 0) return invocation.bad(i);
    }
    // Whoever would take handles need not get any.
    if ((plan.operation & abi::call_takes_handles) == 0) operation &= ~abi::call_takes_handles;
    if (operation != plan.operation) return invocation.bad(abi::message_words);
    if ((invocation.bytes_in() & plan.bytes_mask) != 0) {
        return invocation.bad(abi::message_words + 1);
    }
    return {};
}

// The words of the message are the operands, and then the results.
void answer(Thread& thread, const Invocation& invocation, Status status) {
    thread.message.rax = status.bits;
    thread.message.rsi = invocation.arrived_mask;
    thread.message.rbx = invocation.bytes_out;
    thread.resume = Resume::results;
}

void invoke(Thread& thread, Invocation& invocation, unsigned index) {
    invocation.operation = static_cast<uint8_t>(index);
    if constexpr (debug_checks) thread.operation_number = static_cast<uint8_t>(index);
    const Status status = operation_plans.data()[index].handler(invocation);
    check_described(abi::operations[index], status);
    if (!status.ok()) [[unlikely]]
        return fail(thread, status);
    answer(thread, invocation, status);
}

// Any call: an operation of a kernel object, a request to a server, or an error.
[[gnu::noinline]] void other_call(Thread& thread, Invocation& invocation, Status looked_up) {
    Message& in = thread.message;
    if ((in.rsi & abi::operation_word_reserved) != 0) return fail(thread, Error::not_supported);
    if ((in.rsi & abi::call_deadline) == 0) in.r14 = abi::deadline_never;
    in.rsi &= ~call_flags;
    const auto verb = static_cast<abi::Verb>(in.rsi & 0xf);
    const auto selector = static_cast<unsigned>(in.rsi >> 16 & 0xffff);
    if (!looked_up.ok()) {
        // A revoked handle keeps its slot until its holder closes it.
        const bool closes = verb == abi::Verb::close && selector == abi::selector_universal;
        if (!closes || looked_up.code() != Error::revoked) return fail(thread, looked_up);
        invocation.set_target({nullptr, abi::ObjectType::none, 0, 0});
    } else if (invocation.type() == abi::ObjectType::served && selector < abi::selector_universal) {
        if ((invocation.rights() & abi::right_of(verb)) == 0) {
            return fail(thread, Status(Error::no_right, static_cast<uint16_t>(verb)));
        }
        return Table::call(thread, static_cast<ServedObject&>(*invocation.target),
                           invocation.rights());
    }
    const unsigned index = find_plan(invocation.type(), in.rsi);
    const Status status = check_message(invocation, in.rsi, operation_plans.data()[index]);
    if (!status.ok()) return fail(thread, status);
    invoke(thread, invocation, index);
}

}  // namespace

constexpr std::array<Plan, abi::operation_count + 1> operation_plans = make_plans();
constexpr std::array<uint8_t, place_count> operation_places = make_places();
constexpr std::array<std::array<uint32_t, 8>, abi::operation_count> operand_words =
    make_operand_words();

// What operation_path.S does in assembly, and all that it leaves. The right comes after the
// operation's existence, so that bad_operation is seen first.
[[gnu::always_inline]] inline void system_call_call(Thread& thread) {
    Message& in = thread.message;
    if ((in.rsi & abi::call_buffer) == 0) in.r15 = in.rbx = 0;
    Invocation invocation(thread);
    Found found;  // set when there is one
    const Status looked_up = thread.process->handles.look_up(in.rdi, found);
    if (looked_up.ok()) invocation.set_target(found);
    other_call(thread, invocation, looked_up);
}

// The operation did not plainly go well, or something is to be done on leaving.
extern "C" [[noreturn]] void kernel_operation_done(Invocation& invocation, Status status) {
    Thread& thread = invocation.caller;
    if (status.ok()) {
        answer(thread, invocation, status);
    } else {
        fail(thread, status);
    }
    invocation.~Invocation();
    leave_kernel(thread);
    return_to_thread(thread);
}

void system_call_reply_and_wait(Thread& thread) {
    if ((thread.message.rbx & abi::reply_deadline) == 0) thread.message.r14 = abi::deadline_never;
    thread.message.rbx &= ~abi::reply_deadline;
    const auto found =
        thread.process->handles.find(thread.message.rdi, abi::ObjectType::table, abi::right_serve);
    if (!found.ok()) return fail(thread, found.status());
    static_cast<Table*>(found->object)->reply_and_wait(thread);
}

void system_call_exit(Thread& thread) { exit_current(abi::EndReason::exited, thread.message.rdi); }

[[gnu::always_inline]] static inline void other_system_call(Thread& thread,
                                                            abi::SystemCall number) {
    switch (number) {
        case abi::SystemCall::reply_and_wait: system_call_reply_and_wait(thread); break;
        case abi::SystemCall::wait: system_call_wait(thread); break;
        case abi::SystemCall::wait_any: system_call_wait_any(thread); break;
        case abi::SystemCall::signal: system_call_signal(thread); break;
        case abi::SystemCall::signal_and_wait: system_call_signal_and_wait(thread); break;
        case abi::SystemCall::exit: system_call_exit(thread);
        default: fail(thread, Error::bad_call); break;
    }
}

// Called by syscall_entry on an empty kernel stack; the message is saved in the current thread.
extern "C" [[noreturn]] void kernel_system_call(Thread& thread) {
    if constexpr (counters) ++this_cpu().counters.kernel_entries;
    const auto number = static_cast<abi::SystemCall>(thread.message.rax);
    if (number == abi::SystemCall::call) [[likely]] {
        system_call_call(thread);
    } else {
        other_system_call(thread, number);
    }
    leave_kernel(thread);
    if (thread.resume == Resume::results) [[likely]]
        arch::return_with_results(&thread.message, &return_state(thread));
    return_to_thread(thread);
}

// --- Invocation
// -----------------------------------------------------------------------------------

Result<Found> Invocation::find_operand(unsigned index) const {
    const abi::Operand& operand = abi::operations[operation].in[index];
    auto found = process.handles.find(words[index], operand.type, operand.needs);
    if (found.ok()) return *found;
    // Extra says which operand, counted from 1: the handle that the call names is 0.
    return Status(found.error(), found.status().detail(), index + 1);
}

// Says what is wrong, if it still is.
Result<Object*> Invocation::find_object_slowly(unsigned index) const {
    const auto refused = find_operand(index);
    return refused.ok() ? Result(refused->object) : Result<Object*>(refused.status());
}

Result<void> Invocation::read_bytes(void* to, uint64_t size) const {
    if (bytes_in() < size) return Status(Error::bad_argument, abi::message_words + 1);
    if (!arch::copy_from_user(to, buffer(), size)) return Error::bad_address;
    return {};
}

Result<void> Invocation::write_bytes(const void* from, uint64_t size) {
    const uint64_t part = size < capacity_out() ? size : capacity_out();
    if (!arch::copy_to_user(buffer(), from, part)) return Error::bad_address;
    bytes_out = static_cast<uint32_t>(part);
    return {};
}

// --- long operations
// ------------------------------------------------------------------------------

namespace {

void run_step(Thread& thread) {
    const LongOperation& operation = *thread.operation;
    thread.wait_kind = WaitKind::none;
    thread.operation = nullptr;
    operation.step(thread);
    __builtin_unreachable();
}

void prepare_step(Thread& thread, const LongOperation& operation, WaitKind kind) {
    thread.operation = &operation;
    thread.continuation = run_step;
    thread.resume = Resume::continuation;
    thread.wait_kind = kind;
}

}  // namespace

void abandon_operation(Thread& thread) {
    const LongOperation* operation = thread.operation;
    thread.operation = nullptr;
    if (operation != nullptr) operation->abandon(thread);
}

void continue_later(Thread& thread, const LongOperation& operation) {
    prepare_step(thread, operation, WaitKind::none);
    arch::allow_interrupts();
    yield_current(thread);
}

void continue_after_grace(Thread& thread, const LongOperation& operation, bool flush) {
    prepare_step(thread, operation, WaitKind::grace);
    thread.status = ThreadStatus::blocked;
    thread.grace.flush = flush;
    thread.grace.done = [](GraceItem& item) { make_ready(container_of(item, &Thread::grace)); };
    grace_after(thread.grace);
    schedule();
}

void finish_operation(Thread& thread, Status status, uint64_t w0, uint64_t w1, unsigned arrived) {
    check_described(abi::operations[thread.operation_number], status);
    thread.message = {};
    thread.message.rax = status.bits;
    if (status.ok()) {
        thread.message.rdx = w0;
        thread.message.r8 = w1;
        thread.message.rsi = arrived;
    }
    thread.resume = Resume::message;
    leave_kernel(thread);
    return_to_thread(thread);
}

}  // namespace annulus::kernel
