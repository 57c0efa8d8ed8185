// SPDX-License-Identifier: MIT
// Making the specimens, and reading everything that they say about themselves.

#include "tests/abi/handles/specimens.h"

#include "abi/operations.h"
#include "abi/ring.h"
#include "tests/guest/ledger.h"

namespace annulus::test {

namespace {

constexpr uint64_t ports_base = 0x2f8;  // of the second serial port, which has no user
constexpr uint64_t ports_count = 8;
constexpr uint64_t interrupt_line = 3;
constexpr uint64_t far_deadline = uint64_t{1} << 62;

// FNV-1a over the bytes of numbers.
class Digest {
public:
    void add(uint64_t number) {
        for (unsigned i = 0; i < sizeof(number); ++i) {
            value_ = (value_ ^ (number >> i * 8 & 0xff)) * 0x100000001b3;
        }
    }
    void add(BudgetReference budget) {
        const auto ledger = budget.get_ledger();
        add(ledger.status().bits);
        if (!ledger.ok()) return;
        for (unsigned i = 0; i < abi::resource_count; ++i) {
            add(ledger->limit[i]), add(ledger->used[i]), add(ledger->lent[i]);
        }
        add(ledger->children), add(ledger->objects);
    }
    void add(ProcessReference process) {
        const auto state = process.get_state();
        add(state.status().bits);
        if (!state.ok()) return;
        add(static_cast<uint64_t>(state->reason)), add(state->threads), add(state->exit_code);
        add(state->handles), add(state->mapped_pages);
    }
    uint64_t value() const { return value_; }

private:
    uint64_t value_ = 0xcbf29ce484222325;
};

}  // namespace

const Specimens* Specimens::get(Context& test) {
    static constinit Specimens* made = nullptr;
    static constinit bool usable = false;
    if (made == nullptr) {
        made = new (std::nothrow) Specimens();
        usable = made != nullptr && made->make(test);
    }
    if (!usable) test.fail("there are no specimens");
    return usable ? made : nullptr;
}

bool Specimens::make(Context& test) {
    const auto made = [&]() -> Result<void> {
        payer_ = test.budget();
        own_payer_ = own_budget(test);
        own_process_ = test.process();
        abi::BudgetLimits limits = {};
        limits.amount[static_cast<unsigned>(abi::Resource::pages)] = 100;
        limits.amount[static_cast<unsigned>(abi::Resource::kernel_bytes)] = 100'000;
        limits.cpu_weight = 100;
        limits.priority_ceiling = 10;
        budget_ = TRY(payer_.create_budget(limits));
        process_ = TRY(payer_.create_process(16, 0));
        memory_ = TRY(payer_.create_memory(2, 0));
        semaphore_ = TRY(payer_.create_semaphore(abi::semaphore_counting, 7, {}, 0));
        table_ = TRY(payer_.create_table(2, 0, {}, 0));
        served_ = TRY(table_.create_object(1, abi::all_rights, 0));
        timer_ = TRY(payer_.create_timer(semaphore_));
        set_ = TRY(payer_.create_set(4));
        const Memory shared = TRY(payer_.create_memory(1, 0));
        channel_ = TRY(payer_.create_channel(shared, 0, abi::page_size, 1, 1));
        TRY(timer_.set_arm(far_deadline, 0));
        queues_ = TRY(payer_.create_memory(1, 0));
        ring_ = TRY(payer_.create_ring(8, queues_, 0, abi::ring_allow_all));
        gate_ = TRY(payer_.create_semaphore(abi::semaphore_counting, 0, {}, 0));
        thread_.emplace(TRY(start_thread(
            [gate = SemaphoreReference(gate_)] { static_cast<void>(wait_for(gate)); })));
        return {};
    }();
    if (!made.ok()) {
        test.fail("a specimen cannot be made: {}", abi::name_of(made.error()));
        return false;
    }
    set(abi::ObjectType::budget, budget_);
    set(abi::ObjectType::process, process_);
    set(abi::ObjectType::thread, thread_->handle());
    set(abi::ObjectType::memory, memory_);
    set(abi::ObjectType::semaphore, semaphore_);
    set(abi::ObjectType::table, table_);
    set(abi::ObjectType::served, served_);
    set(abi::ObjectType::timer, timer_);
    set(abi::ObjectType::set, set_);
    set(abi::ObjectType::channel, channel_.first);
    set(abi::ObjectType::ring, ring_);
    return make_hardware(test);
}

bool Specimens::make_hardware(Context& test) {
    const auto made = [&]() -> Result<void> {
        const auto& environment = test.environment();
        const auto hardware = TRY(environment.handle<Hardware>("hardware"));
        ports_ = TRY(hardware.create_ports(payer_, ports_base, ports_count));
        interrupt_ = TRY(hardware.create_interrupt(payer_, interrupt_line));
        set(abi::ObjectType::hardware, hardware);
        set(abi::ObjectType::power, TRY(environment.handle<Power>(names::power)));
        set(abi::ObjectType::console, TRY(environment.handle<Console>(names::console)));
        return {};
    }();
    if (!made.ok()) {
        test.fail("a hardware specimen cannot be made: {}", abi::name_of(made.error()));
        return false;
    }
    set(abi::ObjectType::ports, ports_);
    set(abi::ObjectType::interrupt, interrupt_);
    return true;
}

uint64_t Specimens::digest() const {
    Digest digest;
    digest.add(payer_);
    digest.add(own_payer_);
    digest.add(own_process_);
    digest.add(budget_);
    digest.add(process_);
    if (const auto thread = thread_->handle().get_state(); thread.ok()) {
        digest.add(static_cast<uint64_t>(thread->reason)), digest.add(thread->priority);
        digest.add(thread->stopped), digest.add(thread->exit_code);
    }
    if (const auto size = memory_.get_size(); size.ok()) {
        digest.add(size->pages), digest.add(size->flags), digest.add(size->committed);
    }
    uint64_t words[16] = {};
    digest.add(memory_.read_bytes(0, std::as_writable_bytes(std::span(words))).status().bits);
    for (const uint64_t word : words) digest.add(word);
    if (const auto state = semaphore_.get_state(); state.ok()) digest.add(state->value);
    if (const auto state = table_.get_state(); state.ok()) {
        digest.add(state->free), digest.add(state->queued), digest.add(state->taken);
        digest.add(state->orphans), digest.add(state->clients);
    }
    if (const auto state = set_.get_state(); state.ok()) {
        digest.add(state->members), digest.add(state->ready), digest.add(state->bound);
    }
    if (const auto state = channel_.first.get_state(); state.ok()) {
        digest.add(state->closed), digest.add(state->faulted), digest.add(state->reason);
    }
    return digest.value();
}

}  // namespace annulus::test
