// SPDX-License-Identifier: MIT
// From what a request asks for to the path of a file. Policy-free.
#pragma once

#include <stddef.h>

#include <array>
#include <string_view>

namespace annulus::http {

// A checked path below the served folder: components as abi/directory.h has them, never "..".
class FilePath {
public:
    // Decodes a request's target, which begins with '/'. The status to answer if it is none:
    // 400 for broken escapes, control bytes and components that lead elsewhere, 404 for names that
    // no file can have; 0: it is sound.
    [[nodiscard]] unsigned decode(std::string_view target);

    // "" for the folder itself; no '/' at the end.
    [[nodiscard]] std::string_view text() const { return {text_.data(), size_}; }
    // The target ended with '/': a folder is meant.
    [[nodiscard]] bool names_folder() const { return names_folder_; }

    // Appends a component. False: it does not fit.
    [[nodiscard]] bool append(std::string_view name);

private:
    std::array<char, 1024> text_{};
    size_t size_ = 0;
    bool names_folder_ = false;
};

// By the path's ending; text/html for ".html" and so on, otherwise plain bytes.
[[nodiscard]] std::string_view content_type_of(std::string_view path);

}  // namespace annulus::http
