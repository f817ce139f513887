"""What loads and runs the graphs of a model: onnxruntime, OpenVINO; and int8 calibration."""
