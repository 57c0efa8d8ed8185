# SPDX-License-Identifier: MIT
# Boot archives: each folder under system/ with a manifest becomes images/<folder>.img.

get_property(programs GLOBAL PROPERTY ANNULUS_PROGRAMS)
get_property(left_out GLOBAL PROPERTY ANNULUS_PROGRAMS_LEFT_OUT)
file(GLOB manifests CONFIGURE_DEPENDS "${ANNULUS_ROOT}/system/*/manifest")
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/images")
add_custom_target(images ALL)

foreach(manifest IN LISTS manifests)
    cmake_path(GET manifest PARENT_PATH folder)
    cmake_path(GET folder FILENAME name)
    file(GLOB_RECURSE files CONFIGURE_DEPENDS "${folder}/*")

    # The image holds init and every program that the manifest names.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${manifest}")
    file(READ "${manifest}" text)
    set(missing "")
    foreach(program IN LISTS left_out)
        if(text MATCHES "(^|[^A-Za-z0-9_])${program}([^A-Za-z0-9_]|$)")
            list(APPEND missing "${program}")
        endif()
    endforeach()
    # The default system boots without them; others would not be what they are for.
    set(without "")
    if(missing AND name STREQUAL "default")
        message(WARNING "image ${name} is made without ${missing} and what needs it")
        foreach(program IN LISTS missing)
            list(APPEND without --without "${program}")
        endforeach()
    elseif(missing)
        message(WARNING "image ${name} is left out: it needs ${missing}")
        continue()
    endif()
    set(packed "")
    foreach(program IN LISTS programs)
        if(program STREQUAL "init" OR text MATCHES "(^|[^A-Za-z0-9_])${program}([^A-Za-z0-9_]|$)")
            list(APPEND packed "${CMAKE_BINARY_DIR}/stripped/${program}")
        endif()
    endforeach()

    set(image "${CMAKE_BINARY_DIR}/images/${name}.img")
    add_custom_command(OUTPUT "${image}"
        COMMAND "${ANNULUS_PYTHON}" "${ANNULUS_TOOLS}/archive.py"
            ${without} "${image}" "${folder}" ${packed}
        DEPENDS ${packed} ${files} "${ANNULUS_TOOLS}/archive.py"
        COMMENT "Packing image ${name}" VERBATIM)
    add_custom_target(image-${name} DEPENDS "${image}")
    add_dependencies(images image-${name})
endforeach()
