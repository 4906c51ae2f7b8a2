# Operator families: every cpp/ops/<family>.cpp defines register_<family>(OpRegistry&), unless it is
# a helper named *_detail.cpp or the registry itself. Forgetting the function fails the link by name.

file(GLOB SDX_OP_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cpp/ops/*.cpp)
set(families "")
foreach(source ${SDX_OP_SOURCES})
  get_filename_component(family ${source} NAME_WE)
  if(NOT family STREQUAL "registry" AND NOT family MATCHES "_detail$")
    string(APPEND families "SDX_OP_FAMILY(${family})\n")
  endif()
endforeach()
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/op_families.inc CONTENT "${families}")

# Helpers and families whose plain loops over elements the compiler shall vectorise.
foreach(family argminmax axis_maps_detail binary binary_detail broadcast_detail classify clip
        compare constant convert_detail cumulative features logic lp_normalization movement_detail
        norm pool reduction_detail unary where)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/cpp/ops/${family}.cpp
                              PROPERTIES COMPILE_OPTIONS $<$<CONFIG:Release>:-O3>)
endforeach()
