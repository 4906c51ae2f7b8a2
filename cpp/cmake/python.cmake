# The extension module sardonyx._core.
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
find_package(pybind11 2.13 CONFIG REQUIRED)
file(GLOB SDX_BINDING_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cpp/bindings/*.cpp)
if(SDX_BINDING_SOURCES)
  # No link-time optimisation: the bindings are thin, and it doubles what they cost to build.
  pybind11_add_module(_core MODULE NO_EXTRAS ${SDX_BINDING_SOURCES})
  target_compile_options(_core PRIVATE ${SDX_WARNINGS})
  target_link_libraries(_core PRIVATE sardonyx::sardonyx)
  if(SKBUILD)
    install(TARGETS _core DESTINATION sardonyx)
  else()
    # A developer's build drops the module beside the Python sources: PYTHONPATH=python is enough.
    set_target_properties(_core PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_SOURCE_DIR}/python/sardonyx)
  endif()
endif()
