# The extension module sardonyx._core.
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
# pip's pybind11 lies where only its interpreter knows.
execute_process(COMMAND ${Python_EXECUTABLE} -m pybind11 --cmakedir OUTPUT_VARIABLE pip_pybind11
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
find_package(pybind11 2.13 CONFIG REQUIRED HINTS ${pip_pybind11})
file(GLOB SDX_BINDING_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cpp/bindings/*.cpp)
if(SDX_BINDING_SOURCES)
  # No link-time optimisation: the bindings are thin, and it doubles what they cost to build.
  pybind11_add_module(_core MODULE NO_EXTRAS ${SDX_BINDING_SOURCES})
  target_compile_options(_core PRIVATE ${SDX_WARNINGS})
  # A file of these spends most of its time on pybind11's headers: some of them share that.
  set_target_properties(_core PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 4)
  # The runtime is in the package's library alone; api/ says by SDX_SHARED what crosses over.
  target_link_libraries(_core PRIVATE sardonyx_shared sardonyx_base)
  target_include_directories(_core PRIVATE ${PROJECT_SOURCE_DIR}/cpp)
  target_link_options(_core PRIVATE -Wl,--version-script=${CMAKE_CURRENT_LIST_DIR}/install/module.map)
  set_target_properties(_core PROPERTIES BUILD_RPATH "$ORIGIN/lib" BUILD_RPATH_USE_ORIGIN ON
                                         INSTALL_RPATH "$ORIGIN/lib")
  if(SKBUILD)
    install(TARGETS _core DESTINATION sardonyx COMPONENT python)
  else()
    # A developer's build drops both beside the Python sources: PYTHONPATH=python is enough.
    set(package ${PROJECT_SOURCE_DIR}/python/sardonyx)
    set_target_properties(_core PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${package})
    set_target_properties(sardonyx_shared PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${package}/lib)
  endif()
endif()
