package market

// Executions compares replayed executions with the exchange. An execution is matched when the order that stands for it traded all of
// its shares, and every one of them with the order it expects; anything else (another order was ahead, some shares or all found
// nobody, the order was refused) is unmatched. It folds the events of a replay; the zero value has seen none.
type Executions struct {
	open  map[string]*execution
	order []string
}

type execution struct {
	expects string
	left    int64
	other   bool // it traded with an order that it did not expect
}

// Submitted notes an order that stands for an execution; others are ignored.
func (x *Executions) Submitted(o OrderSubmitted) {
	if o.Expects == "" || x.open[o.OrderID] != nil {
		return
	}
	if x.open == nil {
		x.open = map[string]*execution{}
	}
	x.open[o.OrderID] = &execution{expects: o.Expects, left: o.Quantity}
	x.order = append(x.order, o.OrderID)
}

// Traded notes what an execution's order traded, and with whom.
func (x *Executions) Traded(t TradeExecuted) {
	if e := x.open[t.OrderID]; e != nil && !t.Maker {
		e.left -= t.Quantity
		e.other = e.other || t.CounterOrderID != e.expects
	}
}

// Matched is how many executions filled exactly the order that the exchange filled.
func (x *Executions) Matched() int { return len(x.order) - len(x.Unmatched()) }

// Unmatched returns the ids of the other executions' orders, as they were submitted.
func (x *Executions) Unmatched() []string {
	var ids []string
	for _, id := range x.order {
		if e := x.open[id]; e.left != 0 || e.other {
			ids = append(ids, id)
		}
	}
	return ids
}
