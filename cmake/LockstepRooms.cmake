# lockstep_room(NAME layers DIR common/nn/layers): every *.cc of the folder is one entry of the room.
# Writes <build>/<DIR>.room.inc with a line LOCKSTEP_ROOM_ENTRY(<file stem>) per file, and sets <NAME>_ROOM_SRCS.
# The registry expands it; nothing registers itself, so the linker drops nothing and nothing runs before main.
function(lockstep_room)
  cmake_parse_arguments(ARG "" "NAME;DIR" "" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${ARG_DIR}/*.cc)
  list(SORT sources)
  set(table "")
  foreach(source IN LISTS sources)
    get_filename_component(stem ${source} NAME_WE)
    string(APPEND table "LOCKSTEP_ROOM_ENTRY(${stem})\n")
  endforeach()
  file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/${ARG_DIR}.room.inc CONTENT "${table}")
  set(${ARG_NAME}_ROOM_SRCS ${sources} PARENT_SCOPE)
endfunction()
