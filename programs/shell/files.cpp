// SPDX-License-Identifier: MIT
// Commands on files and directories.
#include "abi/names.h"
#include "programs/shell/commands.h"
#include "runtime/path.h"
#include "runtime/protocol.h"

#include <string.h>

#include <algorithm>

namespace annulus::shell {
namespace {

constexpr size_t chunk = 8 * 1024;

constexpr std::string_view kind_mark(abi::EntryKind kind) {
    return kind == abi::EntryKind::directory ? "/" : "";
}

std::string_view text_of(std::span<const std::byte> bytes) {
    // Safety: any bytes may be looked at as characters.
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The protocol of a served object that says it, and else the type.
const char* kind_of(ObjectReference object, abi::ObjectType type) {
    // A server that is stuck must not keep the shell waiting.
    constexpr Duration patience = milliseconds(100);
    if (type != abi::ObjectType::served) return abi::name_of(type);
    const auto info = protocol_of(ServedReference(object.value()), Deadline::after(patience));
    return info.ok() ? abi::name_of(info->protocol) : abi::name_of(type);
}

// What the shell itself was handed, with the rights.
void list_objects(Shell& shell) {
    for (size_t i = 0; i < shell.environment.handle_count(); ++i) {
        const ObjectReference object(shell.environment.handle_value(i));
        const auto info = object.get_info();
        if (!info.ok()) continue;
        char buffer[256];
        TextBuffer rights(buffer);
        for (unsigned verb = 0; verb < abi::verb_count; ++verb) {
            if ((info->rights >> verb & 1) == 0) continue;
            rights.append(' ');
            rights.append(abi::verb_names[verb]);
        }
        shell.terminal.say("{16}  {9} {}\n", shell.environment.handle_name(i),
                           kind_of(object, static_cast<abi::ObjectType>(info->type)),
                           rights.text());
    }
}

Result<void> list_directory(Shell& shell, std::string_view path) {
    const Place place = TRY(shell.find(path));
    // An object of the shell's that is no file, such as `system`, can be listed, too.
    Object opened;
    if (!place.rest.empty()) {
        opened = TRY(open(place.object, place.rest, abi::open_read | abi::open_directory));
    }
    DirectoryReader reader(Directory(opened.empty() ? place.object.value() : opened.value()));
    while (!shell.terminal.interrupted() && TRY(reader.next())) {
        const DirectoryEntry& entry = reader.entry();
        shell.terminal.say("{10}  {}{}\n", entry.size, entry.name, kind_mark(entry.kind));
    }
    return {};
}

// Calls `use` with the file's bytes, piece by piece, from `offset` on.
template <typename Use>
Result<void> read_file(Shell& shell, std::string_view path, uint64_t offset, Use use) {
    const auto file = TRY(shell.open<File>(path, abi::open_read));
    std::byte buffer[chunk];
    while (!shell.terminal.interrupted()) {
        const size_t count = TRY(file.read_at(offset, buffer));
        if (count == 0) break;
        if (!TRY(use(offset, std::span<const std::byte>(buffer).first(count)))) break;
        offset += count;
    }
    return {};
}

// A file's bytes may be any; what would steer the terminal is shown as '?'.
void show_text(Shell& shell, std::span<const std::byte> bytes, char& last) {
    char line[256];
    TextBuffer out(line);
    for (const char c : text_of(bytes)) {
        const auto number = static_cast<unsigned char>(c);
        const bool plain = (number >= ' ' && number != 0x7f) || c == '\n' || c == '\t';
        out.append(plain ? c : '?');
        last = c;
        if (!out.full()) continue;
        shell.terminal.write(out.text());
        out = TextBuffer(line);
    }
    shell.terminal.write(out.text());
}

void dump_line(Shell& shell, uint64_t offset, std::span<const std::byte> bytes) {
    char line[128];
    TextBuffer out(line);
    format_to(out, "{8} ", offset);
    for (const std::byte byte : bytes) {
        const auto number = static_cast<unsigned>(byte);
        out.append(' ');
        out.append("0123456789abcdef"[number >> 4]);
        out.append("0123456789abcdef"[number & 15]);
    }
    for (size_t i = bytes.size(); i < 16; ++i) out.append("   ");
    out.append("  ");
    for (const char c : text_of(bytes)) out.append(c >= ' ' && c < 0x7f ? c : '.');
    out.append('\n');
    shell.terminal.write(out.text());
}

Result<void> copy_file(Shell& shell, std::string_view from, std::string_view to) {
    constexpr uint64_t flags = abi::open_write | abi::open_create;
    // Opened first: a source that is not there must not leave an empty file.
    const auto source = TRY(shell.open<File>(from, abi::open_read));
    const auto target = TRY(shell.open<File>(to, flags));
    // One file under two names must not be emptied before it is read. Files of two servers may have
    // one id by chance: so it is copied nevertheless, and cut at the end.
    const bool may_be_one = TRY(source.state()).id == TRY(target.state()).id;
    if (!may_be_one) TRY(target.resize(0));
    std::byte buffer[chunk];
    uint64_t offset = 0;
    while (!shell.terminal.interrupted()) {
        const size_t count = TRY(source.read_at(offset, buffer));
        if (count == 0) return may_be_one ? target.resize(offset) : Result<void>();
        TRY(target.write_at(offset, std::span<const std::byte>(buffer).first(count)));
        offset += count;
    }
    return {};
}

Result<void> write_text(Shell& shell, Arguments arguments) {
    constexpr uint64_t flags = abi::open_write | abi::open_create | abi::open_truncate;
    const auto file = TRY(shell.open<File>(arguments[0], flags));
    char buffer[line_max + words_max];
    TextBuffer text(buffer);
    for (size_t i = 1; i < arguments.size(); ++i) {
        if (i > 1) text.append(' ');
        text.append(arguments[i]);
    }
    text.append('\n');
    return file.write(text.text());
}

Result<void> remove_path(Shell& shell, std::string_view path) {
    const Place place = TRY(shell.find(path));
    return Directory(place.object.value()).remove(place.rest);
}

Result<void> create_path(Shell& shell, std::string_view path) {
    const Place place = TRY(shell.find(path));
    return Directory(place.object.value()).create_directory(place.rest);
}

// Both must lie in one of the shell's objects.
Result<void> rename_path(Shell& shell, std::string_view from, std::string_view to) {
    const Place source = TRY(shell.find(from));
    const Place target = TRY(shell.find(to));
    if (source.object.value() != target.object.value()) return Error::no_route;
    return Directory(source.object.value()).rename(source.rest, target.rest);
}

void tell(Shell& shell, std::string_view name, const Result<void>& result) {
    if (!result.ok()) shell.explain(name, result.status());
}

}  // namespace

void list(Shell& shell, Arguments arguments) {
    if (arguments.empty()) return list_objects(shell);
    tell(shell, arguments[0], list_directory(shell, arguments[0]));
}

void show(Shell& shell, Arguments arguments) {
    char last = '\n';
    const auto use = [&](uint64_t, std::span<const std::byte> bytes) -> Result<bool> {
        show_text(shell, bytes, last);
        return true;
    };
    tell(shell, arguments[0], read_file(shell, arguments[0], 0, use));
    if (last != '\n') shell.terminal.write("\n");
}

void dump(Shell& shell, Arguments arguments) {
    const auto number = [&](size_t at, std::string_view otherwise) {
        return read_number(arguments.size() > at ? arguments[at] : otherwise, abi::file_size_max);
    };
    const auto begin = number(1, "0");
    const auto count = number(2, "256");
    if (!begin || !count) return shell.explain("read", Error::bad_argument);
    uint64_t left = *count;
    const auto use = [&](uint64_t offset, std::span<const std::byte> bytes) -> Result<bool> {
        bytes = bytes.first(std::min<uint64_t>(bytes.size(), left));
        left -= bytes.size();
        while (!bytes.empty() && !shell.terminal.interrupted()) {
            const auto line = bytes.first(std::min<size_t>(bytes.size(), 16));
            dump_line(shell, offset, line);
            offset += line.size();
            bytes = bytes.subspan(line.size());
        }
        return left != 0;
    };
    tell(shell, arguments[0], read_file(shell, arguments[0], *begin, use));
}

void write(Shell& shell, Arguments arguments) {
    tell(shell, arguments[0], write_text(shell, arguments));
}

void copy(Shell& shell, Arguments arguments) {
    tell(shell, "copy", copy_file(shell, arguments[0], arguments[1]));
}

void create(Shell& shell, Arguments arguments) {
    tell(shell, arguments[0], create_path(shell, arguments[0]));
}

void remove(Shell& shell, Arguments arguments) {
    tell(shell, arguments[0], remove_path(shell, arguments[0]));
}

void rename(Shell& shell, Arguments arguments) {
    tell(shell, "rename", rename_path(shell, arguments[0], arguments[1]));
}

}  // namespace annulus::shell
