// SPDX-License-Identifier: MIT
// The object `system` by synchronous calls.

#include "runtime/programs.h"

#include <string.h>

#include <algorithm>

namespace annulus {

namespace {

// A name at the begin of a buffer that the answer overwrites.
Result<system::Buffer> name_in(std::span<std::byte> buffer, std::string_view name) {
    if (name.size() > buffer.size()) return Error::too_many;
    memcpy(buffer.data(), name.data(), name.size());
    return system::Buffer{buffer.data(), static_cast<uint32_t>(name.size()),
                          static_cast<uint32_t>(std::min<size_t>(buffer.size(), UINT32_MAX))};
}

}  // namespace

Result<abi::ProgramReport> Programs::report(std::string_view program) const {
    std::byte bytes[sizeof(abi::ProgramReport) + 64];
    const auto buffer = TRY(name_in(bytes, program));
    const auto answer = system::call_buffer(
        value(), abi::operation_word(abi::Verb::get, abi::system_get_program), buffer);
    if (!answer.status.ok()) return answer.status;
    // A newer server's record is longer; this is its begin.
    abi::ProgramReport report;
    if (answer.bytes_out < sizeof(report)) return Error::wrong_version;
    memcpy(&report, bytes, sizeof(report));
    return report;
}

Result<abi::MachineLedger> Programs::machine() const {
    abi::MachineLedger ledger;
    const auto answer =
        system::call_buffer(value(), abi::operation_word(abi::Verb::get, abi::system_get_machine),
                            system::buffer_out(ledger));
    if (!answer.status.ok()) return answer.status;
    if (answer.bytes_out < sizeof(ledger)) return Error::wrong_version;
    return ledger;
}

Result<void> Programs::kill(std::string_view program) const {
    return system::call_buffer(value(),
                               abi::operation_word(abi::Verb::remove, abi::system_remove_program),
                               system::buffer_in(std::as_bytes(std::span(program))))
        .status;
}

Result<void> Programs::shut_down(uint64_t kind) const {
    return system::call_words(value(),
                              abi::operation_word(abi::Verb::shutdown, abi::system_shutdown), kind)
        .status;
}

Result<std::span<const std::byte>> Programs::read_grants(std::string_view program, uint64_t& cursor,
                                                         std::span<std::byte> buffer) const {
    const auto named = TRY(name_in(buffer, program));
    const auto answer = system::call_buffer(
        value(), abi::operation_word(abi::Verb::list, abi::system_list_grants), named, cursor);
    if (!answer.status.ok()) return answer.status;
    if (answer.words[0] != 0 && answer.bytes_out == 0) return Error::faulted;
    cursor = answer.words[0];
    return std::span<const std::byte>(buffer.first(answer.bytes_out));
}

bool take_grant(std::span<const std::byte>& bytes, ProgramGrant& grant) {
    abi::GrantRecord record;
    if (bytes.size() < sizeof(record)) return false;
    memcpy(&record, bytes.data(), sizeof(record));
    const size_t names = size_t{record.name_bytes} + record.source_bytes;
    if (record.record_bytes > bytes.size() || sizeof(record) + names > record.record_bytes) {
        return false;
    }
    // Safety: any bytes may be looked at as characters.
    const auto* text = reinterpret_cast<const char*>(bytes.data() + sizeof(record));
    grant = {{text, record.name_bytes},
             {text + record.name_bytes, record.source_bytes},
             record.rights,
             record.line};
    bytes = bytes.subspan(record.record_bytes);
    return true;
}

}  // namespace annulus
