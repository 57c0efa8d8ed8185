// SPDX-License-Identifier: MIT
// Directories by synchronous calls.

#include "runtime/directory.h"

#include "abi/file.h"
#include "runtime/path.h"

#include <string.h>

namespace annulus {

namespace {

constexpr unsigned opened_word = 0;
constexpr unsigned consumed_word = 1;
constexpr unsigned moved_word = 1;     // of the request
constexpr unsigned returned_word = 2;  // of the answer

// Owns the handles that came with an answer, so that none is lost whatever the server sent.
class Arrived {
public:
    explicit Arrived(const system::CallAnswer& answer) {
        for (unsigned i = 0; i < abi::message_words; ++i) {
            if ((answer.handle_mask >> i & 1) != 0) objects_[i] = Object(answer.words[i]);
        }
    }
    Object take(unsigned word) { return std::move(objects_[word]); }

private:
    std::array<Object, abi::message_words> objects_;
};

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

Result<void> call_with_path(abi::Handle directory, uint64_t operation, std::string_view path,
                            Deadline deadline) {
    return system::call_buffer(directory, operation, system::buffer_in(bytes_of(path)), 0, 0, 0, 0,
                               0, 0, deadline.at)
        .status;
}

}  // namespace

Result<Object> open(ObjectReference object, std::string_view path, uint64_t flags,
                    Deadline deadline, Object& moved) {
    Object reached;  // what the path led to so far
    for (unsigned hops = 0; hops < abi::open_hops_max; ++hops) {
        const abi::Handle at = reached.empty() ? object.value() : reached.value();
        const unsigned mask = moved.empty() ? 0 : 1u << moved_word;
        const uint64_t operation = abi::operation_word(abi::Verb::open, abi::directory_open, mask) |
                                   abi::call_takes_handles;
        const auto answer = system::call_buffer(at, operation, system::buffer_in(bytes_of(path)),
                                                flags, moved.value(), 0, 0, 0, 0, deadline.at);
        settle_moved(answer, moved_word, moved);
        if (!answer.status.ok()) return answer.status;
        Arrived arrived(answer);
        Object opened = arrived.take(opened_word);
        const uint64_t consumed = answer.words[consumed_word];
        if (opened.empty() || consumed > path.size()) return Error::faulted;
        if (consumed == path.size()) return opened;
        path.remove_prefix(consumed);
        if (path.starts_with('/')) path.remove_prefix(1);
        if (mask != 0) moved = arrived.take(returned_word);
        if (mask != 0 && moved.empty()) return Error::faulted;
        reached = std::move(opened);
    }
    return Error::too_deep;
}

Result<Object> open(ObjectReference object, std::string_view path, uint64_t flags,
                    Deadline deadline) {
    Object nothing;
    return open(object, path, flags, deadline, nothing);
}

system::CallAnswer Directory::publish_handle(std::string_view name, abi::Handle object) const {
    constexpr unsigned moves_word_0 = 1;
    constexpr uint64_t operation =
        abi::operation_word(abi::Verb::share, abi::directory_share, moves_word_0);
    return system::call_buffer(value(), operation, system::buffer_in(bytes_of(name)), object);
}

Result<void> Directory::create_directory(std::string_view path, Deadline deadline) const {
    return call_with_path(value(),
                          abi::operation_word(abi::Verb::create, abi::file_create_directory), path,
                          deadline);
}

Result<void> Directory::remove(std::string_view path, Deadline deadline) const {
    return call_with_path(value(), abi::operation_word(abi::Verb::remove, abi::file_remove), path,
                          deadline);
}

Result<void> Directory::rename(std::string_view from, std::string_view to, uint64_t flags,
                               Deadline deadline) const {
    std::array<std::byte, 2048> both;
    if (from.size() + to.size() > both.size()) return Error::too_many;
    memcpy(both.data(), from.data(), from.size());
    memcpy(both.data() + from.size(), to.data(), to.size());
    const auto bytes = std::span<const std::byte>(both).first(from.size() + to.size());
    return system::call_buffer(value(), abi::operation_word(abi::Verb::rename, abi::file_rename),
                               system::buffer_in(bytes), from.size(), flags, 0, 0, 0, 0,
                               deadline.at)
        .status;
}

Result<bool> DirectoryReader::next() {
    for (;;) {
        switch (read_record(rest_, entry_)) {
            case RecordRead::entry: return true;
            case RecordRead::malformed: return Error::faulted;
            case RecordRead::end:
                if (!TRY(refill())) return false;
        }
    }
}

// False: the server has no more.
Result<bool> DirectoryReader::refill() {
    if (asked_ && cursor_ == 0) return false;
    const auto answer = system::call_buffer(
        directory_.value(), abi::operation_word(abi::Verb::list, abi::directory_list),
        system::buffer_out(std::span(buffer_)), cursor_, 0, 0, 0, 0, 0, deadline_.at);
    if (!answer.status.ok()) return answer.status;
    rest_ = std::span<const std::byte>(buffer_).first(answer.bytes_out);
    // A cursor that does not move would be listed for ever.
    if (answer.words[0] != 0 && rest_.empty()) return Error::faulted;
    cursor_ = answer.words[0];
    asked_ = true;
    return true;
}

}  // namespace annulus
