# Warnings and the floating-point rules, for our targets only; third-party headers are SYSTEM.
add_library(lockstep_options INTERFACE)
target_compile_options(
  lockstep_options
  INTERFACE -Wall
            -Wextra
            -Wno-missing-field-initializers # designated initialisers leave defaults out on purpose
            -Wshadow
            -Wconversion
            -Wnon-virtual-dtor
            -Wold-style-cast
            -Wdouble-promotion
            -ffp-contract=off # FMA is written, never inferred (docs/NUMERICS.md)
            $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety;-Werror=unused-result>)
# Eigen's packet code is picked per compile flag and would differ between targets (docs/NUMERICS.md).
target_compile_definitions(lockstep_options INTERFACE EIGEN_DONT_VECTORIZE EIGEN_DONT_PARALLELIZE
                                                      EIGEN_MPL2_ONLY)
target_compile_definitions(lockstep_options INTERFACE LOCKSTEP_VERSION="${PROJECT_VERSION}")
target_include_directories(lockstep_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
