// SPDX-License-Identifier: MIT
// What the shell was handed, and paths that begin there; what went wrong, in words.
#pragma once

#include "programs/shell/terminal.h"
#include "runtime/directory.h"
#include "runtime/environment.h"
#include "runtime/file.h"

namespace annulus::shell {

// One of the shell's objects, and the path from there on.
struct Place {
    ObjectReference object;
    std::string_view rest;
};

// Everything that commands work with.
struct Shell {
    const Environment& environment;
    Terminal& terminal;
    Served input;  // what the terminal serves to programs

    // not_granted: the shell has no object with the path's first name.
    Result<Place> find(std::string_view path) const;

    // Opens what a path leads to; a path of one name, with no flags, is the shell's own object.
    template <typename Reference>
    Result<Owned<Reference>> open(std::string_view path, uint64_t flags) const {
        const Place place = TRY(find(path));
        Object opened = TRY(annulus::open(place.object, place.rest, flags));
        return Owned<Reference>(opened.release());
    }

    // "name: error (what that means)", with the detail where it says more.
    void explain(std::string_view name, Status status) const;
};

}  // namespace annulus::shell
