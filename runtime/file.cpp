// SPDX-License-Identifier: MIT
// Files by synchronous calls.

#include "runtime/file.h"

#include "runtime/transfer.h"

namespace annulus {

Result<size_t> File::read_at(uint64_t offset, std::span<std::byte> bytes, Deadline deadline) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::read, abi::file_read_at);
    size_t done = 0;
    while (done < bytes.size()) {
        const auto answer =
            system::call_buffer(value(), operation, system::buffer_out(bytes.subspan(done)),
                                offset + done, 0, 0, 0, 0, 0, deadline.at);
        if (!answer.status.ok()) return answer.status;
        if (answer.bytes_out == 0) break;
        done += answer.bytes_out;
    }
    return done;
}

Result<void> File::write_at(uint64_t offset, std::span<const std::byte> bytes,
                            Deadline deadline) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::write, abi::file_write_at);
    size_t most = transfer_max;
    while (!bytes.empty()) {
        const size_t count = TRY(write_once(value(), operation, bytes, offset, deadline, most));
        if (count == 0) return Error::faulted;  // the protocol promises at least one byte
        offset += count;
        bytes = bytes.subspan(count);
    }
    return {};
}

Result<FileState> File::state(Deadline deadline) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::get, abi::file_get_state);
    const auto answer = system::call_buffer(value(), operation, {}, 0, 0, 0, 0, 0, 0, deadline.at);
    if (!answer.status.ok()) return answer.status;
    const auto& words = answer.words;
    return FileState{static_cast<abi::EntryKind>(words[abi::file_word::kind]),
                     words[abi::file_word::size], words[abi::file_word::position],
                     words[abi::file_word::id]};
}

Result<void> File::resize(uint64_t size, Deadline deadline) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::set, abi::file_set_size);
    return system::call_buffer(value(), operation, {}, size, 0, 0, 0, 0, 0, deadline.at).status;
}

Result<void> File::set_position(uint64_t position, Deadline deadline) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::set, abi::file_set_position);
    return system::call_buffer(value(), operation, {}, position, 0, 0, 0, 0, 0, deadline.at).status;
}

Result<FileMemory> File::map(uint64_t offset, uint64_t length, Deadline deadline) const {
    constexpr uint64_t operation =
        abi::operation_word(abi::Verb::map, abi::file_map) | abi::call_takes_handles;
    const auto answer =
        system::call_buffer(value(), operation, {}, offset, length, 0, 0, 0, 0, deadline.at);
    if (!answer.status.ok()) return answer.status;
    FileMemory mapped;
    for (unsigned i = 0; i < abi::message_words; ++i) {
        if ((answer.handle_mask >> i & 1) == 0) continue;
        Memory arrived(answer.words[i]);
        if (i == 0) mapped.memory = std::move(arrived);
    }
    if (mapped.memory.empty()) return Error::faulted;
    mapped.offset = answer.words[1];
    return mapped;
}

}  // namespace annulus
