// SPDX-License-Identifier: MIT
// What is measured on Linux. `report` names the row of the comparison and the way it was done.
#pragma once

namespace annulus::bench {

void measure_rows();
void measure_resources();
void measure_curves();
void measure_clients();

}  // namespace annulus::bench
