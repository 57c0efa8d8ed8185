// SPDX-License-Identifier: MIT
// Building messages from the descriptions in abi/operations.h.

#include "tests/abi/handles/checks.h"

#include <array>
#include <string_view>

namespace annulus::test {

namespace {

constexpr uint32_t transfer_size = 320;  // at least the largest record
alignas(16) std::byte transfer_buffer[transfer_size];

constinit std::array<std::array<bool, abi::operation_count>, way_count> tried = {};

// A number for an operand that no refused call depends on; harmless should the call go through.
uint64_t plausible(const abi::Operation& operation, const abi::Operand& operand) {
    const std::string_view name = operand.name;
    if (name == "handles") return 16;
    if (name == "length") return abi::page_size;
    if (name == "address" && operation.verb == abi::Verb::map) return abi::user_begin;
    if (name == "offset" || name == "argument" || name == "address") return 0;
    if (operation.object == abi::ObjectType::power) return 2;  // never off, never restart
    return 1;
}

}  // namespace

constinit uint64_t Checks::total_ = 0;

void note_tried(Way way, const abi::Operation& operation) {
    tried[static_cast<unsigned>(way)].at(static_cast<size_t>(&operation - abi::operations)) = true;
}

bool was_tried(Way way, unsigned index) { return tried[static_cast<unsigned>(way)].at(index); }

unsigned tried_count(Way way) {
    unsigned count = 0;
    for (unsigned i = 0; i < abi::operation_count; ++i) count += was_tried(way, i);
    return count;
}

Attempt::Attempt(const Specimens& specimens, const abi::Operation& operation)
    : operation_(operation) {
    message.handle = specimens.of(operation.object);
    for (unsigned i = 0; i < abi::message_words; ++i) {
        const abi::Operand& operand = operation.in[i];
        switch (operand.kind) {
            case abi::OperandKind::absent: break;
            case abi::OperandKind::word: message.words[i] = plausible(operation, operand); break;
            case abi::OperandKind::flags:
                message.words[i] = operation.verb == abi::Verb::map ? abi::map_read : 0;
                break;
            case abi::OperandKind::handle: message.words[i] = specimens.fit_for(operand); break;
            case abi::OperandKind::moved:
                message.words[i] = specimens.of(abi::ObjectType::semaphore);
                moved_mask_ |= 1u << i;
                break;
        }
    }
    set_moved_mask(moved_mask_);
    message.buffer.address = transfer_buffer;
    if (operation.transfer == abi::Transfer::bytes_in) message.buffer.bytes_in = transfer_size;
    if (operation.transfer == abi::Transfer::bytes_out) message.buffer.capacity_out = transfer_size;
}

void Checks::refused(const system::Message& message, abi::Status wanted, const char* object,
                     const char* operation, const char* what, uint64_t which) {
    ++count_;
    const auto answer = system::call(message);
    if (answer.status != wanted) {
        test_.fail("{}.{}: {} {x}: answered {} detail {} extra {}, not {} detail {} extra {}",
                   object, operation, what, which, abi::name_of(answer.status.code()),
                   answer.status.detail(), answer.status.extra(), abi::name_of(wanted.code()),
                   wanted.detail(), wanted.extra());
        return;
    }
    uint64_t rest = answer.bytes_out | answer.handle_mask;
    for (const uint64_t word : answer.words.at) rest |= word;
    if (rest != 0)
        test_.fail("{}.{}: {} {x}: a refusal has results", object, operation, what, which);
}

Object duplicate(abi::Handle handle, abi::Rights rights) {
    auto made = ObjectReference(handle).get_duplicate(rights, 0);
    return made.ok() ? std::move(made->handle) : Object();
}

Object revoked_duplicate(abi::Handle handle) {
    const ObjectReference object(handle);
    auto made = object.get_duplicate(abi::all_rights, abi::duplicate_revocable);
    if (!made.ok() || !object.close_revoke(made->lease).ok()) return Object();
    return std::move(made->handle);
}

void make_stale(abi::Handle live, Stale (&to)[stale_count]) {
    const uint32_t slot = abi::slot_of(live);
    const uint32_t generation = abi::generation_of(live);
    const Object closed = duplicate(live, abi::all_rights);
    const abi::Handle closed_value = closed.value();  // closed when this function returns
    const Stale made[stale_count] = {
        {abi::no_handle, "no handle"},
        {closed_value, "a closed handle"},
        {abi::make_handle(slot, generation - 1), "the generation before"},
        {abi::make_handle(slot, generation + 1), "the generation after"},
        {abi::make_handle(slot, ~uint32_t{0}), "the last generation"},
        {abi::make_handle(4000, 1), "a slot that was never used"},
        {abi::make_handle(abi::process_handles_max, 1), "a slot beyond the table"},
        {~uint64_t{0}, "all ones"},
    };
    for (unsigned i = 0; i < stale_count; ++i) to[i] = made[i];
}

}  // namespace annulus::test
