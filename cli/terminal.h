// What stderr is: a terminal on which a line can be drawn again, or a file. Thread: any. Errors:
// none.
#ifndef LOCKSTEP_CLI_TERMINAL_H_
#define LOCKSTEP_CLI_TERMINAL_H_

namespace lockstep::cli {

struct Terminal {
  bool live = false;   // lines may be drawn again
  bool color = false;  // and coloured: a terminal, and NO_COLOR is not set
  int columns = 80;
};

Terminal FindTerminal();

}  // namespace lockstep::cli

#endif  // LOCKSTEP_CLI_TERMINAL_H_
