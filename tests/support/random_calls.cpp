// SPDX-License-Identifier: MIT
// RandomCaller, and what it knows.
#include "tests/support/random_calls.h"

#include "abi/records.h"
#include "kernel/memory/address_space.h"
#include "kernel/syscall/system_calls.h"

#include <stdio.h>
#include <stdlib.h>

#include <algorithm>

namespace annulus::kernel {
// Where assembly brings every system call but `enter`.
extern "C" [[noreturn]] void kernel_system_call(Thread& thread);
}  // namespace annulus::kernel

namespace annulus::test {
namespace {

constexpr uint64_t page = abi::page_size;

void must(bool condition, const char* what) {
    if (condition) return;
    fprintf(stderr, "random caller: %s\n", what);
    abort();
}

// As ring_path.S does.
void enter_ring(kernel::Thread& thread) {
    kernel::Message& message = thread.message;
    const auto answer = kernel::kernel_enter(message.rdi, message.rsi, message.r10, thread);
    message.rax = answer.status;
    message.rdx = answer.accepted;
}

// Not of hardware, which there is none of.
bool usable(const abi::Operation& operation) {
    switch (operation.object) {
        case abi::ObjectType::hardware:
        case abi::ObjectType::ports:
        case abi::ObjectType::interrupt:
        case abi::ObjectType::power:
        case abi::ObjectType::console: return false;
        default: return true;
    }
}

// What leaves little to go on with is rare.
bool ends_much(const abi::Operation& operation) {
    return operation.verb == abi::Verb::remove && (operation.object == abi::ObjectType::budget ||
                                                   operation.object == abi::ObjectType::process);
}

abi::BudgetLimits limits_of(uint64_t amount, uint64_t kernel_bytes) {
    abi::BudgetLimits limits{};
    for (uint64_t& each : limits.amount) each = amount;
    limits.amount[static_cast<unsigned>(abi::Resource::kernel_bytes)] = kernel_bytes;
    limits.cpu_weight = 100;
    limits.priority_ceiling = 31;
    return limits;
}

}  // namespace

// --- what a process knows

void HandlePool::keep(abi::ObjectType type, abi::Handle handle) {
    const std::lock_guard guard(mutex_);
    if (known_.size() < room_) return known_.push_back({type, handle});
    next_ = next_ < 2 || next_ + 1 == room_ ? 2 : next_ + 1;
    known_[next_] = {type, handle};
}

abi::Handle HandlePool::get(abi::ObjectType type, unsigned index) {
    const std::lock_guard guard(mutex_);
    const auto count = std::ranges::count(known_, type, &Known::type);
    if (count == 0) return abi::no_handle;
    auto left = index % count;
    for (const Known& known : known_) {
        if (known.type == type && left-- == 0) return known.handle;
    }
    return abi::no_handle;
}

abi::ObjectType HandlePool::type_at(unsigned index) {
    const std::lock_guard guard(mutex_);
    return known_[index % known_.size()].type;
}

// --- beginning

RandomCaller::RandomCaller(KernelMachine& machine, HandlePool& pool, Choices& choices,
                           std::span<std::byte> memory, std::unique_ptr<MachineThread> thread)
    : machine_(machine),
      pool_(pool),
      choices_(choices),
      memory_(memory),
      thread_(std::move(thread)) {}

void RandomCaller::equip() {
    using enum abi::ObjectType;
    pool_.keep(budget, machine_.new_budget(limits_of(1000, 1 << 20)));
    pool_.keep(process,
               machine_.name(*kernel::Ref<kernel::Process>::share(machine_.process()).leak()));
    const auto pages = make(budget, 0, {4, 0});
    const auto blocks = make(budget, 0, {1, 0});
    abi::Handle bell = 0;
    for (uint64_t mode = 0; mode < 3; ++mode) {
        make(budget, 1, {mode, 0, 0, 0});
        bell = make(budget, 1, {mode, 0, pages, 3 * page + 8 * mode});
    }
    make(budget, 2, {4, 1024, blocks, 0});
    make(table, 0, {1, abi::all_rights, 0});
    make(budget, 5, {bell});
    make(budget, 6, {blocks, 0, page, 1, 1});
    make(budget, 7, {16});
    make(budget, 8, {8, pages, 0, abi::ring_allow_all});
    // One that soon has nothing left.
    pool_.keep(budget, machine_.new_budget(limits_of(12, 4000)));
}

// By the object of that type that is known first.
abi::Handle RandomCaller::make(abi::ObjectType by, uint16_t selector,
                               std::initializer_list<uint64_t> words) {
    kernel::Message& message = thread_->message();
    message = {};
    for (const abi::Operation& operation : abi::operations) {
        if (operation.object == by && operation.verb == abi::Verb::create &&
            operation.selector == selector) {
            operation_ = &operation;
        }
    }
    uint64_t* const at[] = {&message.rdx, &message.r8,  &message.r9,
                            &message.r10, &message.r12, &message.r13};
    unsigned i = 0;
    for (const uint64_t word : words) *at[i++] = word;
    message.rax = static_cast<uint64_t>(abi::SystemCall::call);
    message.rdi = pool_.get(by, 0);
    message.rsi = abi::operation_word(abi::Verb::create, selector, 0) | abi::call_takes_handles;
    begin(kernel::kernel_system_call);
    must(!blocked_ && Status(message.rax).ok(), "it cannot make what it begins with");
    return message.rdx;
}

// --- choosing

abi::Handle RandomCaller::handle(abi::ObjectType type) {
    if (type == abi::ObjectType::any || choices_.one_in(20)) type = any_type();
    last_type_ = type;
    const abi::Handle known = pool_.get(type, choices_.byte());
    return choices_.one_in(40) ? known + (uint64_t{1} << 32) : known;
}

abi::ObjectType RandomCaller::waitable() {
    constexpr abi::ObjectType types[] = {abi::ObjectType::semaphore, abi::ObjectType::semaphore,
                                         abi::ObjectType::set, abi::ObjectType::channel};
    return types[choices_.below(4)];
}

uint64_t RandomCaller::address() {
    const auto begin = reinterpret_cast<uint64_t>(memory_.data());
    switch (choices_.below(8)) {
        case 0: return begin + memory_size - choices_.below(256);
        case 1: return choices_.word();
        default: return begin + choices_.below(memory_size / 2 / 8) * 8;
    }
}

// In a process: so few that mappings meet each other.
uint64_t RandomCaller::mapped_address() { return abi::user_begin + choices_.below(32) * page; }

uint64_t RandomCaller::word() {
    switch (choices_.below(14)) {
        case 0: return 0;
        case 1: return 1;
        case 2: return choices_.below(4);
        case 3: return choices_.below(16);
        case 4: return choices_.below(32) * page;
        case 5: return uint64_t{1} << choices_.below(64);
        case 6: return ~uint64_t{0} << choices_.below(64);
        case 7: return choices_.below(8) * 8;
        case 8: return deadline();
        case 9: return mapped_address();
        case 10: return answered_[choices_.below(8)];
        case 11: return choices_.below(4) * page;
        case 12: return address();
        default: return choices_.word();
    }
}

uint64_t RandomCaller::deadline() {
    switch (choices_.below(4)) {
        case 0: return abi::deadline_poll;
        case 1: return abi::deadline_never;
        default: return machine_.now + choices_.below(64) * 64;
    }
}

// What an operand of this name mostly is.
uint64_t RandomCaller::named_word(std::string_view name) {
    if (choices_.one_in(6)) return word();
    if (name == "address" || name == "entry") return mapped_address();
    if (name == "length") return (1 + choices_.below(4)) * page;
    if (name == "offset") return choices_.below(4) * (choices_.one_in(4) ? 8 : page);
    if (name == "pages" || name == "count") return 1 + choices_.below(4);
    if (name == "lease" || name == "request") return answered_[choices_.below(8)];
    if (name == "deadline") return deadline();
    if (name == "rights") return choices_.one_in(2) ? abi::all_rights : choices_.word();
    if (name == "slots" || name == "entries") return uint64_t{1} << choices_.below(5);
    if (name == "handles") return 16 + choices_.below(32);
    if (name == "stack" || name == "fs_base" || name == "priority") return choices_.byte();
    if (name == "block" || name == "allowed" || name == "room") return choices_.below(2048);
    return word();
}

uint64_t RandomCaller::operand(const abi::Operand& operand) {
    switch (operand.kind) {
        case abi::OperandKind::absent: return choices_.one_in(100) ? word() : 0;
        case abi::OperandKind::word: return named_word(operand.name);
        case abi::OperandKind::flags: return choices_.one_in(20) ? word() : choices_.below(16);
        case abi::OperandKind::handle:
        case abi::OperandKind::moved: return choices_.one_in(20) ? 0 : handle(operand.type);
    }
    return 0;
}

uint64_t RandomCaller::extent(abi::Transfer transfer) {
    const uint64_t count = choices_.one_in(4) ? choices_.below(9000) : choices_.below(256);
    switch (transfer) {
        case abi::Transfer::bytes_in: return count;
        case abi::Transfer::bytes_out: return count << 32;
        default: return choices_.one_in(40) ? count : 0;
    }
}

// --- what it does

void RandomCaller::write_entry() {
    const InKernel here;
    const auto found = thread_->record().process->handles.find(handle(abi::ObjectType::memory),
                                                               abi::ObjectType::memory, 0);
    if (!found.ok()) return;
    auto& memory = static_cast<kernel::MemoryObject&>(*found->object);
    abi::SubmissionEntry entry{};
    entry.verb = static_cast<uint8_t>(choices_.below(abi::ring_verb_count + 1));
    entry.flags = choices_.one_in(4) ? choices_.byte() & abi::ring_flags_all : 0;
    entry.memory =
        choices_.one_in(2) ? abi::ring_no_memory : static_cast<uint16_t>(choices_.below(4));
    entry.moved_mask = choices_.one_in(4) ? choices_.byte() : 0;
    entry.landing_count = static_cast<uint8_t>(choices_.below(3));
    entry.landing = static_cast<uint16_t>(choices_.below(4));
    entry.handle = choices_.one_in(3) ? 0 : handle(abi::ObjectType::served);
    entry.user_data = choices_.below(4);
    for (uint64_t& each : entry.words) each = choices_.one_in(3) ? handle(any_type()) : word();
    entry.bytes_in = choices_.one_in(2) ? 0 : choices_.below(300);
    entry.capacity_out = choices_.one_in(2) ? 0 : choices_.below(300);
    entry.deadline = deadline();
    // Most rings lie at the begin of a page and have 8 entries.
    constexpr uint32_t entries = 8;
    const uint64_t base = choices_.below(2) * page;
    const auto put = [&](uint64_t at, const auto& value) {
        static_cast<void>(memory.copy_in(base + at, &value, sizeof(value)).ok());
    };
    const uint32_t tail = choices_.byte();
    put(abi::ring_submissions(entries) + tail % entries * sizeof(entry), entry);
    const uint32_t next = choices_.one_in(8) ? choices_.byte() : tail + 1;
    put(abi::ring_submission_tail, next);
    if (choices_.one_in(4)) put(abi::ring_completion_head, next);
}

void RandomCaller::touch_page() {
    const InKernel here;
    auto& space = thread_->record().process->space;
    const bool write = choices_.one_in(2);
    static_cast<void>(space.resolve_fault(mapped_address(), write, false).ok());
}

void RandomCaller::go_on() {
    if (!thread_->go_on_once()) return;
    blocked_ = false;
    note_answer();
}

void RandomCaller::call() {
    kernel::Message& message = thread_->message();
    message = {};
    operation_ = nullptr;
    serves_ = false;
    switch (choices_.below(16)) {
        case 0:
        case 1:
        case 2: make_wait(); break;
        case 3:
        case 4: make_wait_any(); break;
        case 5:
        case 6:
        case 7: make_reply(); break;
        case 8:
            message.rdi = handle(abi::ObjectType::ring);
            message.rsi = choices_.below(3);
            if (choices_.one_in(4)) message.rsi |= abi::enter_only_waits;
            message.r10 = deadline();
            return begin(enter_ring);
        case 9:
        case 10: make_request(); break;
        case 12:
            if (choices_.one_in(4)) {
                make_close();
                break;
            }
            [[fallthrough]];
        case 11:
            if (choices_.one_in(100)) return fault();
            [[fallthrough]];
        default: make_call(); break;
    }
    begin(kernel::kernel_system_call);
}

void RandomCaller::begin(void (*call)(kernel::Thread&)) {
    blocked_ = !thread_->call(call);
    if (!blocked_) note_answer();
}

// It stops, or its process ends.
void RandomCaller::fault() {
    begin([](kernel::Thread& thread) {
        thread.fault = abi::FaultKind::breakpoint;
        thread.process->stop_at_fault(thread);
    });
}

void RandomCaller::make_call() {
    const abi::Operation* operation = nullptr;
    unsigned patience = 20;
    do {
        operation = &abi::operations[choices_.below(abi::operation_count)];
    } while (--patience > 0 &&
             (!usable(*operation) || (ends_much(*operation) && !choices_.one_in(100))));
    kernel::Message& message = thread_->message();
    message.rax = static_cast<uint64_t>(abi::SystemCall::call);
    message.rdi = handle(operation->object);
    operation_ = operation;
    target_ = last_type_;
    unsigned mask = 0;
    uint64_t* const at[] = {&message.rdx, &message.r8,  &message.r9,
                            &message.r10, &message.r12, &message.r13};
    for (unsigned i = 0; i < abi::message_words; ++i) {
        *at[i] = operand(operation->in[i]);
        if (operation->in[i].kind == abi::OperandKind::moved) mask |= 1u << i;
    }
    if (choices_.one_in(40)) mask = choices_.below(64);
    message.rsi = abi::operation_word(operation->verb, operation->selector, mask);
    message.r14 = deadline();
    message.r15 = address();
    message.rbx = extent(operation->transfer);
    message.rsi |= abi::call_deadline | abi::call_buffer;
    if (!choices_.one_in(30)) message.rsi |= abi::call_takes_handles;
}

void RandomCaller::make_close() {
    kernel::Message& message = thread_->message();
    message.rax = static_cast<uint64_t>(abi::SystemCall::call);
    message.rdi = handle(any_type());
    message.rsi = abi::operation_word(abi::Verb::close, abi::selector_universal, 0);
}

// To whoever serves the object's table.
void RandomCaller::make_request() {
    kernel::Message& message = thread_->message();
    message.rax = static_cast<uint64_t>(abi::SystemCall::call);
    message.rdi = handle(abi::ObjectType::served);
    const unsigned mask = choices_.one_in(2) ? choices_.below(16) : 0;
    const auto verb = static_cast<abi::Verb>(choices_.below(16));
    message.rsi = abi::operation_word(verb, static_cast<uint16_t>(choices_.below(4)), mask);
    uint64_t* const at[] = {&message.rdx, &message.r8, &message.r9, &message.r10};
    for (unsigned i = 0; i < 4; ++i) *at[i] = (mask >> i & 1) ? handle(any_type()) : word();
    message.r14 = deadline();
    message.r15 = address();
    message.rbx = choices_.below(1200) | uint64_t{choices_.below(1200)} << 32;
    message.rsi |= abi::call_deadline;
    if (choices_.one_in(2)) message.rsi |= abi::call_buffer;
    if (!choices_.one_in(8)) message.rsi |= abi::call_takes_handles;
}

void RandomCaller::make_reply() {
    kernel::Message& message = thread_->message();
    message.rax = static_cast<uint64_t>(abi::SystemCall::reply_and_wait);
    serves_ = true;
    message.rdi = handle(abi::ObjectType::table);
    message.rsi = choices_.one_in(3) ? 0 : request_;
    message.r15 = choices_.one_in(2) ? 0 : word();
    message.rbx = choices_.below(64);
    if (choices_.one_in(3)) {
        message.rbx |= uint64_t{choices_.below(64)} << 32;
        message.rdx = handle(any_type());
        message.r8 = handle(any_type());
    }
    message.rbx |= abi::reply_deadline;
    message.r14 = deadline();
}

void RandomCaller::make_wait() {
    constexpr abi::SystemCall calls[] = {abi::SystemCall::wait, abi::SystemCall::signal,
                                         abi::SystemCall::signal_and_wait};
    const abi::SystemCall call = calls[choices_.below(3)];
    kernel::Message& message = thread_->message();
    message.rax = static_cast<uint64_t>(call);
    message.rdi = handle(waitable());
    message.rsi =
        call == abi::SystemCall::signal_and_wait ? handle(waitable()) : uint64_t{choices_.below(4)};
    message.rdx = deadline();
    if (call == abi::SystemCall::wait && choices_.one_in(4)) {
        message.rsi = address();
        message.r10 = choices_.below(8);
    }
}

void RandomCaller::make_wait_any() {
    kernel::Message& message = thread_->message();
    message.rax = static_cast<uint64_t>(abi::SystemCall::wait_any);
    message.rdi = reinterpret_cast<uint64_t>(memory_.data());
    message.rsi = 1 + choices_.below(6);
    message.rdx = deadline();
    // Safety: this caller's memory, large enough and aligned as operator new aligns.
    auto* entries = reinterpret_cast<abi::WaitEntry*>(memory_.data());
    for (unsigned i = 0; i < message.rsi; ++i) {
        entries[i] = {handle(waitable()), choices_.below(4)};
    }
}

// What came with the answer is used from now on.
void RandomCaller::note_answer() {
    const kernel::Message& message = thread_->message();
    must(!thread_->record().link.linked(), "a thread that runs stands in a queue");
    if (!Status(message.rax).ok()) return;
    ++successes_;
    for (const uint64_t word : {message.rdx, message.r8}) {
        answered_[next_answered_++ % answered_.size()] = word;
    }
    if (serves_) request_ = message.rsi;
    if (operation_ == nullptr) return;
    const uint64_t at[] = {message.rdx, message.r8,  message.r9,
                           message.r10, message.r12, message.r13};
    for (unsigned i = 0; i < abi::message_words; ++i) {
        if ((message.rsi >> i & 1) == 0) continue;
        abi::ObjectType type = operation_->out[i].type;
        if (type == abi::ObjectType::any || type == abi::ObjectType::none) type = target_;
        pool_.keep(type, at[i]);
    }
}

}  // namespace annulus::test
