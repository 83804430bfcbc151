"""What somebody would build instead of Chainrule, each as users of its libraries write it, and the floors below all.

They answer POST /v1/gradients for dense layers of four activations and the half squared error, with the fields of
Chainrule's answer; nothing else of the contract.
"""
