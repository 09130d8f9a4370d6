package herd

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// A usage is how busy the machine's processors were, as shares from 0 to 1.
type usage struct {
	machine float64 // with all processes of the machine
	ours    float64 // with the children
}

// jiffies is the processor time since the machine started, of all processors, in the unit of
// /proc/stat.
type jiffies struct{ total, idle float64 }

// readJiffies returns zeros if there is no /proc/stat.
func readJiffies() (j jiffies) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return j
	}
	defer f.Close() //nolint:errcheck // the file is only read
	line, _ := bufio.NewReader(f).ReadString('\n')
	for i, field := range strings.Fields(line) {
		n, _ := strconv.ParseFloat(field, 64)
		j.total += n
		if i == 4 || i == 5 { // idle and iowait; field 0 is the name
			j.idle += n
		}
	}
	return j
}

// busySince returns the share of the time between before and j in which the processors were busy.
func (j jiffies) busySince(before jiffies) float64 {
	total := j.total - before.total
	if total == 0 {
		return 0
	}
	return 1 - (j.idle-before.idle)/total
}
