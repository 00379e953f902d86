#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace lockstep::cli {

Terminal FindTerminal() {
  Terminal terminal;
  const char* const term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::strcmp(term, "dumb") == 0;
  terminal.live = isatty(STDERR_FILENO) == 1 && !dumb;
  // https://no-color.org: set to anything but nothing.
  const char* const no_color = std::getenv("NO_COLOR");
  terminal.color = terminal.live && (no_color == nullptr || *no_color == '\0');
  winsize size = {};
  if (terminal.live && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminal.columns = size.ws_col;
  }
  return terminal;
}

}  // namespace lockstep::cli
