// SPDX-License-Identifier: MIT
// The file protocol at the in-memory file system: every operation, rights, and what is refused.

#include "abi/errors.h"
#include "runtime/protocol.h"
#include "tests/abi/files/scene.h"

#include <string.h>

#include <algorithm>

const char* const annulus::test::suite = "files";

namespace annulus::test::cases {
namespace {

// More than one block of the server, and no multiple of anything.
constexpr size_t large = 100'003;
std::byte pattern[large];
std::byte read_back[large + 1];

void fill_pattern() {
    for (size_t i = 0; i < large; ++i) pattern[i] = static_cast<std::byte>(i * 31 >> 3);
}

uint64_t consumed_of(Directory directory, std::string_view path, uint64_t flags) {
    const auto answer = system::call_buffer(
        directory.value(),
        abi::operation_word(abi::Verb::open, abi::directory_open) | abi::call_takes_handles,
        system::buffer_in(bytes_of(path)), flags);
    if (!answer.status.ok()) return ~uint64_t{0};
    close_handle(answer.words[0]);
    return answer.words[1];
}

}  // namespace
}  // namespace annulus::test::cases

TEST(protocol, "a file says which protocol it speaks, in which version, and its block") {
    const auto info = MUST(protocol_of(files(test)));
    EXPECT_EQ(info.protocol, abi::Protocol::file);
    EXPECT_EQ(abi::protocol_major(info.version), 1);
    EXPECT(info.block_bytes >= abi::directory_record_max);
}

TEST(write_and_read, "what is written is read, also in many requests and beyond the end") {
    fill_pattern();
    const auto folder = MUST(new_folder(test, "write_and_read"));
    const auto file = MUST(folder.open<File>("a", open_to_write));
    EXPECT_OK(file.write_at(5, pattern));
    EXPECT_EQ(MUST(file.state()).size, large + 5);
    EXPECT_EQ(MUST(file.read_at(5, read_back)), large);
    EXPECT_EQ(memcmp(pattern, read_back, large), 0);
    EXPECT_EQ(MUST(file.read_at(0, std::span(read_back).first(5))), 5u);
    EXPECT_EQ(static_cast<int>(read_back[4]), 0);
    EXPECT_EQ(MUST(file.read_at(large + 5, read_back)), 0u);
    EXPECT_EQ(MUST(file.read_at(abi::file_size_max, read_back)), 0u);
    EXPECT_ERROR(file.read_at(abi::file_size_max + 1, read_back), Error::out_of_range);
    EXPECT_ERROR(file.write_at(abi::file_size_max, bytes_of("x")), Error::out_of_range);
}

TEST(one_request_more_than_a_block, "more than a block in one request is limit, with its size") {
    const auto folder = MUST(new_folder(test, "block"));
    const auto file = MUST(folder.open<File>("a", open_to_write));
    const auto answer =
        system::call_buffer(file.value(), abi::operation_word(abi::Verb::write, abi::file_write_at),
                            system::buffer_in(std::span<const std::byte>(pattern)), 0);
    EXPECT_EQ(answer.status.code(), Error::limit);
    const uint64_t block = answer.status.extra();
    EXPECT(block >= 4096 && block < large);
    EXPECT_EQ(MUST(file.write_some(pattern)), block);
    EXPECT_EQ(MUST(file.state()).size, block);
}

TEST(positions, "each opened object has its own position, and a stream's operations move it") {
    const auto folder = MUST(new_folder(test, "positions"));
    const auto writer = MUST(folder.open<File>("a", open_to_write));
    const auto reader = MUST(folder.open<Stream>("a", abi::open_read));
    EXPECT_OK(writer.write("hello, "));
    EXPECT_OK(writer.write("world"));
    EXPECT_EQ(MUST(writer.state()).position, 12u);
    std::byte bytes[64];
    EXPECT_EQ(MUST(reader.read(std::span(bytes).first(5))), 5u);
    EXPECT_EQ(MUST(reader.read(bytes)), 7u);
    EXPECT_EQ(memcmp(bytes, ", world", 7), 0);
    EXPECT_EQ(MUST(reader.read(bytes)), 0u);
    EXPECT_OK(writer.set_position(1));
    EXPECT_OK(writer.write("a"));
    EXPECT(holds(writer, "hallo, world"));
    EXPECT_OK(writer.sync());
    EXPECT_ERROR(writer.set_position(abi::file_size_max + 1), Error::out_of_range);
}

TEST(resize, "a file is cut, and grows by zeros") {
    const auto folder = MUST(new_folder(test, "resize"));
    const auto file = MUST(folder.open<File>("a", open_to_write));
    EXPECT_OK(file.write("hello"));
    EXPECT_OK(file.resize(2));
    EXPECT(holds(file, "he"));
    EXPECT_OK(file.resize(4));
    EXPECT(holds(file, std::string_view("he\0\0", 4)));
    EXPECT_ERROR(file.resize(abi::file_size_max), Error::out_of_range);
    EXPECT_ERROR(file.map(0, 1), Error::not_supported);
}

TEST(open_flags, "create, exclusive, truncate and directory do what they say") {
    const auto folder = MUST(new_folder(test, "open_flags"));
    EXPECT_ERROR(folder.open<File>("a", abi::open_read), Error::not_found);
    EXPECT_OK(MUST(folder.open<File>("a", open_to_write | abi::open_exclusive)).write("x"));
    EXPECT_ERROR(folder.open<File>("a", open_to_write | abi::open_exclusive), Error::exists);
    EXPECT(holds(MUST(folder.open<File>("a", open_to_write)), "x"));
    EXPECT_ERROR(folder.open<File>("a", abi::open_directory), Error::wrong_type);
    EXPECT_ERROR(folder.open<File>("a/b", abi::open_read), Error::wrong_type);
    EXPECT(holds(MUST(folder.open<File>("a", open_to_write | abi::open_truncate)), ""));
    EXPECT_ERROR(folder.open<File>("a", 64), Error::not_supported);
    EXPECT_ERROR(folder.open<File>("a", abi::open_exclusive), Error::bad_argument);
    EXPECT_ERROR(folder.open<File>("a", abi::open_truncate), Error::bad_argument);
    EXPECT_EQ(consumed_of(folder, "a", abi::open_read), 1u);
    EXPECT_EQ(consumed_of(folder, "", abi::open_read), 0u);
}

TEST(directories_are_no_files, "a directory is not read, written or resized, a file not listed") {
    const auto folder = MUST(new_folder(test, "no_file"));
    const File as_file(folder.value());
    std::byte bytes[8];
    EXPECT_ERROR(as_file.read_at(0, bytes), Error::wrong_type);
    EXPECT_ERROR(as_file.write("x"), Error::wrong_type);
    EXPECT_ERROR(as_file.resize(0), Error::wrong_type);
    const auto file = MUST(folder.open<File>("a", open_to_write));
    DirectoryReader reader(Directory(file.value()));
    EXPECT_ERROR(reader.next(), Error::wrong_type);
    EXPECT_ERROR(Directory(file.value()).create_directory("x"), Error::wrong_type);
}

TEST(remove_and_rename, "names go and move; what is open stays") {
    const auto folder = MUST(new_folder(test, "rename"));
    const auto file = MUST(folder.open<File>("a", open_to_write));
    EXPECT_OK(file.write("text"));
    EXPECT_OK(folder.create_directory("d"));
    EXPECT_ERROR(folder.create_directory("d"), Error::exists);
    EXPECT_ERROR(folder.create_directory("none/d"), Error::not_found);
    EXPECT_OK(folder.rename("a", "d/b"));
    EXPECT_ERROR(folder.open<File>("a", abi::open_read), Error::not_found);
    EXPECT(holds(MUST(folder.open<File>("d/b", abi::open_read)), "text"));
    EXPECT_ERROR(folder.remove("d"), Error::wrong_state);
    EXPECT_ERROR(folder.rename("d", "d/e"), Error::bad_argument);
    EXPECT_OK(MUST(folder.open<File>("c", open_to_write)).write("other"));
    EXPECT_ERROR(folder.rename("c", "d/b"), Error::exists);
    EXPECT_ERROR(folder.rename("c", "d/b", 2), Error::not_supported);
    EXPECT_OK(folder.rename("c", "d/b", abi::rename_replace));
    EXPECT(holds(file, "text"));
    EXPECT_OK(folder.remove("d/b"));
    EXPECT_OK(folder.remove("d"));
    EXPECT_ERROR(folder.remove("d"), Error::not_found);
    EXPECT(holds(file, "text"));
}

TEST(listing, "a list of many requests has every name once") {
    constexpr unsigned count = 150;
    const auto folder = MUST(new_folder(test, "listing"));
    char name[64];
    for (unsigned i = 0; i < count; ++i) {
        const auto path = format(name, "a name that is not short at all {4}", i);
        EXPECT_OK(folder.open<File>(path, open_to_write));
    }
    bool seen[count] = {};
    unsigned found = 0;
    DirectoryReader reader(folder);
    while (MUST(reader.next())) {
        const DirectoryEntry& entry = reader.entry();
        EXPECT(entry.kind == abi::EntryKind::file);
        unsigned number = 0;
        for (const char c : entry.name.substr(entry.name.size() - 4)) {
            if (c != ' ') number = number * 10 + static_cast<unsigned>(c - '0');
        }
        EXPECT(number < count && !seen[number]);
        if (number < count) seen[number] = true;
        ++found;
    }
    EXPECT_EQ(found, count);
    EXPECT_EQ(MUST(File(folder.value()).state()).size, count);
    std::byte little[abi::directory_record_max - 1];
    const auto answer = system::call_buffer(
        folder.value(), abi::operation_word(abi::Verb::list, abi::directory_list),
        system::buffer_out(std::span(little)));
    EXPECT_EQ(answer.status.code(), Error::no_room);
}

TEST(names, "a name has 1 to 255 bytes, and no path leads up or around") {
    const auto folder = MUST(new_folder(test, "names"));
    char longest[abi::name_bytes_max + 1];
    std::fill(std::begin(longest), std::end(longest), 'n');
    const std::string_view name(longest, abi::name_bytes_max);
    EXPECT_OK(folder.open<File>(name, open_to_write));
    DirectoryReader reader(folder);
    EXPECT(MUST(reader.next()) && reader.entry().name == name);
    EXPECT_ERROR(folder.open<File>({longest, sizeof(longest)}, open_to_write), Error::bad_argument);
    const std::string_view wrong[] = {"..",
                                      ".",
                                      "a/..",
                                      "../a",
                                      "a/../b",
                                      "/",
                                      "/a",
                                      "a/",
                                      "a//b",
                                      "./a",
                                      std::string_view("a\0b", 3)};
    for (const std::string_view path : wrong) {
        const auto opened = folder.open<File>(path, open_to_write);
        EXPECT_EQ(opened.error(), Error::bad_argument);
        EXPECT_EQ(opened.status().detail(), abi::operand_bytes);
        EXPECT_ERROR(folder.create_directory(path), Error::bad_argument);
        EXPECT_ERROR(folder.remove(path), Error::bad_argument);
        EXPECT_ERROR(folder.rename(path, "x"), Error::bad_argument);
        EXPECT_ERROR(folder.rename("x", path), Error::bad_argument);
    }
    EXPECT_ERROR(folder.remove(""), Error::bad_argument);
}

TEST(escape, "a handle to a folder shows nothing outside of it") {
    const auto outer = MUST(new_folder(test, "escape"));
    EXPECT_OK(MUST(outer.open<File>("secret", open_to_write)).write("x"));
    const auto inner = MUST(outer.open<Directory>("inner", open_to_write | abi::open_directory));
    EXPECT_ERROR(inner.open<File>("secret", abi::open_read), Error::not_found);
    EXPECT_ERROR(inner.open<File>("../secret", abi::open_read), Error::bad_argument);
    EXPECT_ERROR(inner.rename("../secret", "mine"), Error::bad_argument);
    EXPECT_ERROR(inner.open<File>("escape/secret", abi::open_read), Error::not_found);
    DirectoryReader reader(inner);
    EXPECT(!MUST(reader.next()));
    // Removed or moved away, it is still just what it was.
    EXPECT_OK(outer.rename("inner", "moved"));
    EXPECT_OK(inner.open<File>("a", open_to_write));
    EXPECT_OK(inner.remove("a"));
    EXPECT_OK(outer.remove("moved"));
    EXPECT_ERROR(inner.open<File>("a", open_to_write), Error::wrong_state);
}

TEST(read_only, "a handle that was opened to read cannot be used to change anything") {
    const auto folder = MUST(new_folder(test, "read_only"));
    EXPECT_OK(MUST(folder.open<File>("a", open_to_write)).write("x"));
    const auto reader = MUST(folder.open<Directory>("", abi::open_read));
    const auto file = MUST(reader.open<File>("a", abi::open_read));
    EXPECT(holds(file, "x"));
    EXPECT_ERROR(file.write("y"), Error::no_right);
    EXPECT_ERROR(file.write_at(0, bytes_of("y")), Error::no_right);
    EXPECT_ERROR(file.resize(0), Error::no_right);
    EXPECT_ERROR(reader.open<File>("a", abi::open_write), Error::no_right);
    EXPECT_ERROR(reader.open<File>("b", abi::open_create), Error::no_right);
    EXPECT_ERROR(annulus::open(file, "", abi::open_write), Error::no_right);
    EXPECT_ERROR(reader.create_directory("d"), Error::no_right);
    EXPECT_ERROR(reader.remove("a"), Error::no_right);
    EXPECT_ERROR(reader.rename("a", "b"), Error::no_right);
    EXPECT(holds(file, "x"));
    const auto writer = MUST(folder.open<File>("a", abi::open_write));
    std::byte byte[1];
    EXPECT_ERROR(writer.read_at(0, byte), Error::no_right);
    EXPECT_ERROR(annulus::open(writer, "", abi::open_read), Error::no_right);
}

TEST(stale, "a closed handle names nothing") {
    const auto folder = MUST(new_folder(test, "stale"));
    auto file = MUST(folder.open<File>("a", open_to_write));
    const File closed(file.value());
    file.close();
    EXPECT_ERROR(closed.write("x"), Error::bad_handle);
    EXPECT_ERROR(closed.state(), Error::bad_handle);
    EXPECT_ERROR(annulus::open(closed, "a", abi::open_read), Error::bad_handle);
}

TEST(unused_words, "words that have no meaning must be 0, unknown selectors are refused") {
    const auto folder = MUST(new_folder(test, "words"));
    const auto file = MUST(folder.open<File>("a", open_to_write));
    const auto call = [&](abi::Verb verb, uint16_t selector, auto... words) {
        return system::call_words(file.value(), abi::operation_word(verb, selector), words...)
            .status.code();
    };
    EXPECT_EQ(call(abi::Verb::read, 0, 1), Error::bad_argument);
    EXPECT_EQ(call(abi::Verb::read, 1, 0, 1), Error::bad_argument);
    EXPECT_EQ(call(abi::Verb::write, 1, 0, 1), Error::bad_argument);
    EXPECT_EQ(call(abi::Verb::get, 0, 1), Error::bad_argument);
    EXPECT_EQ(call(abi::Verb::set, 0, 0, 1), Error::bad_argument);
    EXPECT_EQ(call(abi::Verb::map, 0, 0, 1, 1), Error::bad_argument);
    EXPECT_EQ(call(abi::Verb::open, 0, 1, 1), Error::bad_argument);
    EXPECT_EQ(call(abi::Verb::read, 2), Error::bad_operation);
    EXPECT_EQ(call(abi::Verb::get, 7), Error::bad_operation);
    EXPECT_EQ(call(abi::Verb::sync, 1), Error::bad_operation);
}
