# SPDX-License-Identifier: MIT
# What is generated from abi/: the typed handles that programs include as "generated/objects.h".

# The generator runs on the machine that builds, so the target tree's own flags do not apply to it.
file(GLOB generator_sources CONFIGURE_DEPENDS "${ANNULUS_TOOLS}/abi_generator/*.cpp")
file(GLOB generator_headers CONFIGURE_DEPENDS
    "${ANNULUS_TOOLS}/abi_generator/*.h" "${ANNULUS_ROOT}/abi/*.h")
set(generator "${CMAKE_BINARY_DIR}/host_tools/abi_generator")
set(objects_header "${CMAKE_BINARY_DIR}/generated/objects.h")
set(reference "${CMAKE_BINARY_DIR}/generated/reference")
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/host_tools" "${CMAKE_BINARY_DIR}/generated")

add_custom_command(OUTPUT "${generator}"
    COMMAND clang++-19 -std=c++23 -O1 ${ANNULUS_WARNINGS} "-I${ANNULUS_ROOT}"
        ${generator_sources} -o "${generator}"
    DEPENDS ${generator_sources} ${generator_headers}
    COMMENT "Building the ABI generator" VERBATIM)
add_custom_command(OUTPUT "${objects_header}" "${reference}/README.md"
    COMMAND "${generator}" header "${objects_header}"
    COMMAND "${generator}" reference "${reference}"
    # The generator leaves equal files alone; their time must still pass the generator's.
    COMMAND "${CMAKE_COMMAND}" -E touch "${objects_header}" "${reference}/README.md"
    DEPENDS "${generator}"
    COMMENT "Generating from abi/" VERBATIM)
add_custom_target(generated ALL DEPENDS "${objects_header}" "${reference}/README.md")

# Lets a target include the generated headers.
function(annulus_generated target)
    target_include_directories(${target} PRIVATE "${CMAKE_BINARY_DIR}")
    add_dependencies(${target} generated)
endfunction()
