// SPDX-License-Identifier: MIT
// Writes what is generated from abi/: the typed handles, or the reference pages.
//
// Usage: abi_generator header FILE | abi_generator reference FOLDER
// A file that already has the wanted text is left alone, so that builds do not start over.

#include "tools/abi_generator/generator.h"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string_view>

namespace {

bool write_file(const std::filesystem::path& path, const std::string& text) {
    std::ifstream old(path, std::ios::binary);
    const std::string before{std::istreambuf_iterator<char>(old), {}};
    if (old && before == text) return true;
    std::error_code ignored;  // an existing folder is no error, a missing one shows at the open
    std::filesystem::create_directories(path.parent_path(), ignored);
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    if (!file) std::cerr << "abi_generator: cannot write " << path << "\n";
    return static_cast<bool>(file);
}

bool write_reference(const std::filesystem::path& folder) {
    for (const auto& page : annulus::generator::reference_pages()) {
        if (!write_file(folder / page.file, page.text)) return false;
    }
    return true;
}

}  // namespace

int main(int argument_count, char** arguments) {
    const std::string_view what = argument_count == 3 ? arguments[1] : "";
    if (what == "header") {
        return write_file(arguments[2], annulus::generator::objects_header()) ? 0 : 1;
    }
    if (what == "reference") return write_reference(arguments[2]) ? 0 : 1;
    std::cerr << "usage: abi_generator header FILE | abi_generator reference FOLDER\n";
    return 2;
}
