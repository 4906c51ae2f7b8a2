# A toolchain file: the system's clang, which Debian installs under names that end in its version.
find_program(CMAKE_CXX_COMPILER NAMES clang++ clang++-22 clang++-21 clang++-20 clang++-19 clang++-18
                                      clang++-17 clang++-16 clang++-15 REQUIRED)
# Templates of a class that only templated lambdas call are left out by clang 16 where it parses them
# at once.
set(CMAKE_CXX_FLAGS_INIT
    "-include ${CMAKE_CURRENT_LIST_DIR}/clang.h -fdelayed-template-parsing")
