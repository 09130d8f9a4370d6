package herd

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// A usage is how busy the machine's processors were: shares of 1.
type usage struct {
	machine float64 // by whomever
	ours    float64 // by the children
}

// jiffies are what /proc/stat counts in, for all processors together.
type jiffies struct{ total, idle float64 }

func readJiffies() (j jiffies) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return j
	}
	defer f.Close() //nolint:errcheck // only read
	line, _ := bufio.NewReader(f).ReadString('\n')
	for i, field := range strings.Fields(line) {
		n, _ := strconv.ParseFloat(field, 64)
		j.total += n
		if i == 4 || i == 5 { // idle, and waiting for a disk
			j.idle += n
		}
	}
	return j
}

// busySince returns which share of the time since before the processors were busy.
func (j jiffies) busySince(before jiffies) float64 {
	total := j.total - before.total
	if total == 0 {
		return 0
	}
	return 1 - (j.idle-before.idle)/total
}
