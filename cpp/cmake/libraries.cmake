# What C and C++ programs link: libsardonyx as a shared and as a static library, of which only names
# that begin with sdx_ can be seen, and the files by which CMake and pkg-config find them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The number of the interface: a library of the same number has every function of an older one.
set(SDX_ABI 0)
# In a wheel the package's folder is the prefix.
if(SKBUILD)
  set(SDX_PREFIX sardonyx)
  set(SDX_LIBDIR lib)
else()
  set(SDX_PREFIX .)
  set(SDX_LIBDIR ${CMAKE_INSTALL_LIBDIR})
endif()
set(SDX_SHARED_FILE libsardonyx.so.${SDX_ABI})
set(SDX_INSTALL ${CMAKE_CURRENT_LIST_DIR}/install)
set(SDX_INSTALLED ${PROJECT_BINARY_DIR}/installed)

file(GLOB SDX_CAPI_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cpp/capi/*.cpp)
list(APPEND SDX_CAPI_SOURCES ${PROJECT_SOURCE_DIR}/cpp/api/library_op.cpp
     ${PROJECT_SOURCE_DIR}/cpp/api/operator_library.cpp)
set_source_files_properties(${SDX_CAPI_SOURCES} PROPERTIES INCLUDE_DIRECTORIES
                                                           ${PROJECT_SOURCE_DIR}/cpp/include)

if(SDX_BUILD_SHARED)
  set(exports ${SDX_INSTALL}/exports.map)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/shared.cpp CONTENT "// All comes from libsardonyx.a.\n")
  add_library(sardonyx_shared SHARED ${PROJECT_BINARY_DIR}/generated/shared.cpp)
  add_library(sardonyx::sardonyx ALIAS sardonyx_shared)
  target_include_directories(sardonyx_shared INTERFACE ${PROJECT_SOURCE_DIR}/cpp/include)
  target_link_libraries(sardonyx_shared PRIVATE -Wl,--whole-archive sardonyx -Wl,--no-whole-archive)
  target_link_options(sardonyx_shared PRIVATE -Wl,--version-script=${exports} -Wl,--as-needed)
  # One file under the name that programs ask for: a wheel has no symbolic links.
  set_target_properties(sardonyx_shared PROPERTIES OUTPUT_NAME sardonyx SUFFIX .so.${SDX_ABI}
                                                   LINK_DEPENDS ${exports})
  # What -lsardonyx finds: a linker script, which is what a link would be.
  file(CONFIGURE OUTPUT ${SDX_INSTALLED}/libsardonyx.so CONTENT "INPUT(${SDX_SHARED_FILE})\n")
  install(TARGETS sardonyx_shared LIBRARY DESTINATION ${SDX_PREFIX}/${SDX_LIBDIR} COMPONENT library)
  install(FILES ${SDX_INSTALLED}/libsardonyx.so DESTINATION ${SDX_PREFIX}/${SDX_LIBDIR}
          COMPONENT library)
endif()

# One object in which everything else is local: another library's Eigen, or whatever a program calls
# its own, cannot meet ours.
if(SDX_BUILD_STATIC)
  set(SDX_STATIC_FILE ${PROJECT_BINARY_DIR}/static/libsardonyx.a)
  set(object ${PROJECT_BINARY_DIR}/static/sardonyx.o)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/static)
  add_custom_command(
    OUTPUT ${SDX_STATIC_FILE}
    COMMAND ${CMAKE_LINKER} -r --force-group-allocation -o ${object} --whole-archive
            $<TARGET_FILE:sardonyx>
    # Symbols of the kind "unique", inline variables, turn local only if they are weak first.
    COMMAND sh -c "'${CMAKE_NM}' '${object}' | awk '$2 == \"u\" { print $3 }' > '${object}.unique'"
    COMMAND ${CMAKE_OBJCOPY} --weaken-symbols=${object}.unique ${object}
    COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=sdx_* ${object}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${SDX_STATIC_FILE}
    COMMAND ${CMAKE_AR} qcs ${SDX_STATIC_FILE} ${object}
    DEPENDS sardonyx $<TARGET_FILE:sardonyx>
    COMMENT "Linking libsardonyx.a of one object"
    VERBATIM)
  add_custom_target(sardonyx_static ALL DEPENDS ${SDX_STATIC_FILE})
  install(FILES ${SDX_STATIC_FILE} DESTINATION ${SDX_PREFIX}/${SDX_LIBDIR} COMPONENT static)
endif()

set(SDX_CMAKE_DIR ${SDX_PREFIX}/${SDX_LIBDIR}/cmake/sardonyx)
configure_package_config_file(
  ${SDX_INSTALL}/sardonyxConfig.cmake.in ${SDX_INSTALLED}/sardonyxConfig.cmake
  INSTALL_DESTINATION ${SDX_LIBDIR}/cmake/sardonyx NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${SDX_INSTALLED}/sardonyxConfigVersion.cmake
                                 COMPATIBILITY SameMajorVersion)
# What a static library needs besides: what the codecs of images are found by.
list(JOIN SDX_CODEC_MODULES " " SDX_PKGCONFIG_MODULES)
string(REGEX REPLACE ">=" " >= " SDX_PKGCONFIG_MODULES "${SDX_PKGCONFIG_MODULES}")
file(RELATIVE_PATH SDX_PKGCONFIG_PREFIX /${SDX_LIBDIR}/pkgconfig /)
configure_file(${SDX_INSTALL}/sardonyx.pc.in ${SDX_INSTALLED}/sardonyx.pc @ONLY)
install(FILES ${SDX_INSTALLED}/sardonyxConfig.cmake ${SDX_INSTALLED}/sardonyxConfigVersion.cmake
        DESTINATION ${SDX_CMAKE_DIR} COMPONENT library)
install(FILES ${SDX_INSTALLED}/sardonyx.pc DESTINATION ${SDX_PREFIX}/${SDX_LIBDIR}/pkgconfig
        COMPONENT library)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/cpp/include/sardonyx DESTINATION ${SDX_PREFIX}/include
        COMPONENT library)
