package trial

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// The lines between which a page holds the table. Everything else on it is somebody's prose.
const (
	begin = "<!-- chaos: begin; `make chaos` writes what stands between these lines -->"
	end   = "<!-- chaos: end -->"
)

const head = "| trial | fault | measured | must | got | established runtime | load |\n| --- | --- | --- | --- | --- " +
	"| --- | --- |\n"

// WritePage writes results into the table of a page. Trials that were not held this time keep the rows that they have;
// order names all trials in the order of the table.
func WritePage(path string, results []Result, order []string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("writing the table of figures: %w", err)
	}
	written, err := replace(string(page), results, order)
	if err != nil {
		return fmt.Errorf("writing the table of figures into %s: %w", path, err)
	}
	return os.WriteFile(path, []byte(written), 0o644) // a page of the documentation
}

func replace(page string, results []Result, order []string) (string, error) {
	before, rest, found := strings.Cut(page, begin)
	old, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", fmt.Errorf("the lines %q and %q are not on the page", begin, end)
	}
	rows := map[string][]string{}
	for line := range strings.SplitSeq(old, "\n") {
		if name, ok := nameOf(line); ok && slices.Contains(order, name) {
			rows[name] = append(rows[name], line)
		}
	}
	for _, r := range results {
		rows[r.Name] = r.rows()
	}
	var table strings.Builder
	table.WriteString(before + begin + "\n" + head)
	for _, name := range order {
		for _, row := range rows[name] {
			table.WriteString(row + "\n")
		}
	}
	table.WriteString(end + after)
	return table.String(), nil
}

// nameOf is the first cell of a row.
func nameOf(line string) (string, bool) {
	cells := strings.Split(line, "|")
	if len(cells) < 3 {
		return "", false
	}
	return strings.Trim(cells[1], " `"), true
}

func (r Result) rows() []string {
	load := fmt.Sprintf("%.1f", max(r.Load[0], r.Load[1]))
	var rows []string
	row := func(what, must, got string) string {
		cells := []string{"`" + r.Name + "`", r.Fault, what, must, got, r.Established, load}
		if len(rows) > 0 {
			cells[1], cells[5] = "", "" // said in the row above
		}
		for i, c := range cells {
			cells[i] = strings.ReplaceAll(strings.ReplaceAll(c, "|", "\\|"), "\n", " ")
		}
		return "| " + strings.Join(cells, " | ") + " |"
	}
	for _, f := range r.Figures {
		got := f.Got
		if !f.Met {
			got = "**missed**: " + got
		}
		rows = append(rows, row(f.What, f.Must, got))
	}
	if r.Error != "" {
		rows = append(rows, row("the trial itself", "is held", "**not held**: "+r.Error))
	}
	return rows
}
