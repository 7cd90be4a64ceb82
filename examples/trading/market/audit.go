package market

// AuditRecorded is a line of the audit trail: what an event meant to an order or a trader.
type AuditRecorded struct {
	Event   string `json:"event"` // its type
	Symbol  string `json:"symbol,omitempty"`
	Subject string `json:"subject"` // the order, trade or trader
	Trader  string `json:"trader,omitempty"`
}

// EventType implements the framework's payload.
func (AuditRecorded) EventType() string { return "AUDIT_RECORDED" }
