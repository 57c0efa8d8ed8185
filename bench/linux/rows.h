// SPDX-License-Identifier: MIT
// What is measured on Linux. `report` names the row of the comparison and the way it was done.
#pragma once

namespace annulus::bench {

void measure_rows();
void measure_resources();
void measure_curves();
enum class Figure { instructions, time };
void measure_clients(Figure figure);
// In time, on two CPUs.
void measure_pairs();

}  // namespace annulus::bench
