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
#include "kernel/syscall/system_calls.h"

#include <array>

namespace annulus::kernel {

namespace {

constexpr unsigned selectors_max = 16;  // of one verb of one object, below selector_universal
constexpr uint8_t no_operation = 0xff;

// Where in abi::operations an operation is described, by type, verb and selector.
struct OperationIndex {
    uint8_t kernel[abi::object_type_count][abi::verb_count][selectors_max];
    uint8_t universal[abi::verb_count][2];
    uint8_t universal_served[abi::verb_count];
};

consteval OperationIndex make_index() {
    OperationIndex index{};
    for (auto& type : index.kernel) {
        for (auto& verb : type) {
            for (uint8_t& selector : verb) selector = no_operation;
        }
    }
    for (auto& verb : index.universal) verb[0] = verb[1] = no_operation;
    for (uint8_t& verb : index.universal_served) verb = no_operation;
    for (unsigned i = 0; i < abi::operation_count; ++i) {
        const abi::Operation& operation = abi::operations[i];
        const auto verb = static_cast<unsigned>(operation.verb);
        if (operation.object == abi::ObjectType::any) {
            index.universal[verb][operation.selector - abi::selector_universal] =
                static_cast<uint8_t>(i);
        } else if (operation.selector >= abi::selector_universal) {
            index.universal_served[verb] = static_cast<uint8_t>(i);
        } else {
            index.kernel[static_cast<unsigned>(operation.object)][verb][operation.selector] =
                static_cast<uint8_t>(i);
        }
    }
    return index;
}

constexpr OperationIndex operation_index = make_index();
static_assert(abi::operation_count < no_operation);

// The operation's place in abi::operations, or no_operation.
unsigned find_operation(abi::ObjectType type, unsigned verb, unsigned selector) {
    if (selector >= abi::selector_universal) {
        const unsigned which = selector - abi::selector_universal;
        if (which < 2 && operation_index.universal[verb][which] != no_operation) {
            return operation_index.universal[verb][which];
        }
        if (which == 0 && type == abi::ObjectType::served) {
            return operation_index.universal_served[verb];
        }
        return no_operation;
    }
    if (selector >= selectors_max) return no_operation;
    return operation_index.kernel[static_cast<unsigned>(type)][verb][selector];
}

// What the dispatcher looks at in an operation, made from its description.
struct Plan {
    Handler handler;
    uint8_t operands;    // words from here on are zero
    uint8_t moved_mask;  // words that are moved handles
    bool takes_bytes;
    bool needs_right;
};

consteval Plan make_plan(unsigned index) {
    const abi::Operation& operation = abi::operations[index];
    Plan plan{.handler = operation_handlers[index],
              .operands = 0,
              .moved_mask = 0,
              .takes_bytes = operation.transfer == abi::Transfer::bytes_in,
              .needs_right = operation.needs_right};
    for (uint8_t i = 0; i < abi::message_words; ++i) {
        if (operation.in[i].kind == abi::OperandKind::absent) continue;
        if (plan.operands != i) __builtin_unreachable();  // an absent word is before another one
        plan.operands = i + 1;
        if (operation.in[i].kind == abi::OperandKind::moved) plan.moved_mask |= uint8_t(1 << i);
    }
    return plan;
}

consteval auto make_plans() {
    std::array<Plan, abi::operation_count> plans{};
    for (unsigned i = 0; i < abi::operation_count; ++i) plans[i] = make_plan(i);
    return plans;
}

constexpr std::array<Plan, abi::operation_count> plans = make_plans();

// Whether a word that the operation does not have is zero.
bool absent_are_zero(const uint64_t (&words)[abi::message_words], unsigned operands) {
    uint64_t bits = 0;
    switch (operands) {
        case 0: bits |= words[0]; [[fallthrough]];
        case 1: bits |= words[1]; [[fallthrough]];
        case 2: bits |= words[2]; [[fallthrough]];
        case 3: bits |= words[3]; [[fallthrough]];
        case 4: bits |= words[4]; [[fallthrough]];
        case 5: bits |= words[5]; [[fallthrough]];
        default: break;
    }
    return bits == 0;
}

// What the description demands of the message, whatever the operation means.
Status check_message(const Invocation& invocation, const Plan& plan, unsigned mask) {
    if (!absent_are_zero(invocation.words, plan.operands)) {
        unsigned first = plan.operands;
        while (invocation.words[first] == 0) ++first;
        return invocation.bad(first);
    }
    if (mask != plan.moved_mask) return Status(Error::bad_argument, abi::message_words);
    if (!plan.takes_bytes && invocation.bytes_in() != 0) {
        return Status(Error::bad_argument, abi::message_words + 1);
    }
    return {};
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

// The words of the message are the operands, and then the results.
[[gnu::always_inline]] inline void invoke(Thread& thread, const Found& target, unsigned index) {
    const Plan& plan = plans.data()[index];  // the index is from the dispatcher's own table
    Message& message = thread.message;
    Invocation invocation(thread, target, abi::operations[index]);
    if constexpr (debug_checks) thread.operation_number = static_cast<uint8_t>(index);
    Status status =
        check_message(invocation, plan, static_cast<unsigned>(message.rsi >> 32 & 0x3f));
    if (status.ok()) status = plan.handler(invocation);
    check_described(abi::operations[index], status);
    if (!status.ok()) return fail(thread, status);
    message.rax = status.bits;
    message.rdi = 0;
    message.rsi = invocation.arrived_mask;
    message.r14 = 0;
    message.r15 = 0;
    message.rbx = invocation.bytes_out;
    message.rbp = 0;
    thread.resume = Resume::message;
}

}  // namespace

[[gnu::always_inline]] inline void system_call_call(Thread& thread) {
    Message& in = thread.message;
    if ((in.rsi & abi::operation_word_reserved) != 0) return fail(thread, Error::not_supported);
    if ((in.rsi & abi::call_deadline) == 0) in.r14 = abi::deadline_never;
    if ((in.rsi & abi::call_buffer) == 0) in.r15 = in.rbx = 0;
    in.rsi &= ~(abi::call_deadline | abi::call_buffer);
    const auto verb = static_cast<unsigned>(in.rsi & 0xf);
    const auto selector = static_cast<unsigned>(in.rsi >> 16 & 0xffff);
    // The verb's right comes after the operation's existence, so that bad_operation is seen first.
    Found found;  // set when there is one
    const Status looked_up = thread.process->handles.look_up(in.rdi, found);
    unsigned index;
    if (looked_up.ok()) [[likely]] {
        const abi::Rights needed = abi::right_of(static_cast<abi::Verb>(verb));
        const bool lacks = (found.rights & needed) == 0;
        if (found.type == abi::ObjectType::served && selector < abi::selector_universal) {
            if (lacks) return fail(thread, Status(Error::no_right, static_cast<uint16_t>(verb)));
            return Table::call(thread, static_cast<ServedObject&>(*found.object), found.rights);
        }
        index = find_operation(found.type, verb, selector);
        if (index == no_operation) return fail(thread, Error::bad_operation);
        if (lacks && plans.data()[index].needs_right) {
            return fail(thread, Status(Error::no_right, static_cast<uint16_t>(verb)));
        }
    } else {
        const bool closes =
            verb == static_cast<unsigned>(abi::Verb::close) && selector == abi::selector_universal;
        // A revoked handle keeps its slot until its holder closes it.
        if (!closes || looked_up.code() != Error::revoked) return fail(thread, looked_up);
        index = operation_index.universal[verb][0];
    }
    invoke(thread, found, index);
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
    return_to_thread(thread);
}

// --- Invocation
// -----------------------------------------------------------------------------------

Result<Found> Invocation::find_operand(unsigned index) const {
    const abi::Operand& operand = operation.in[index];
    auto found = process.handles.find(words[index], operand.type, operand.needs);
    if (found.ok()) return *found;
    // Extra says which operand, counted from 1: the handle that the call names is 0.
    return Status(found.error(), found.status().detail(), index + 1);
}

Result<Object*> Invocation::find_object(unsigned index) const {
    Found found;  // set when there is one
    const abi::Operand& operand = operation.in[index];
    const Status status = process.handles.look_up(words[index], found);
    if (status.ok() && operand.type == found.type && (operand.needs & ~found.rights) == 0) {
        return found.object;
    }
    // Says what is wrong.
    const auto refused = find_operand(index);
    return refused.ok() ? Result(refused->object) : Result<Object*>(refused.status());
}

Result<void> Invocation::give_object(unsigned index, Ref<Object> object, abi::Rights rights,
                                     uint64_t lease) {
    words[index] = TRY(process.handles.insert(std::move(object), rights, lease, slot_reserved_));
    arrived_mask |= 1u << index;
    return {};
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
